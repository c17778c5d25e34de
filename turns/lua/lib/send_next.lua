-- send_next(tenant, queue, time, now, counted) → count. Dispatch the first session of a tenant's line (1), or pass over it because it is not
-- ready any more, or broken (0). The tenant, which stands at `time` in the rotation, goes back by the price of one turn. `counted`: in a
-- slot of the tenant.
local function send_next(tenant, queue, time, now, counted)
  local line, rotation, count = key.ready .. queue .. ':' .. tenant, key.rotation .. queue, 0
  local function read(...)
    local found = redis.pcall(...)
    if lacks_right(found) then error(found) end
    return found.err and {} or found
  end
  local session, another = unpack(read('ZRANGE', line, 0, 1))
  local id, phase = unpack(read('HMGET', key.session .. (session or ''), 'head', 'phase'))
  local state, its_queue, weight = unpack(read('HMGET', key.turn .. (id or ''), 'state', 'queue', 'weight'))
  if phase == 'ready' and state == 'queued' and its_queue == queue then
    dispatch(session, id, now, queue, counted)
    redis.call('HSET', key.stats, 'served:' .. queue, time)
    count, time = 1, time + price_of(weight)
  end
  -- The line comes first: a tenant without one is found in the rotation, a line without its tenant would stay for ever.
  if session then redis.call('ZREM', line, session) end
  if another then redis.call('ZADD', rotation, time, tenant) else redis.call('ZREM', rotation, tenant) end
  return count
end
