-- send_next(tenant, queue, time, rival, now, known, counted, model, take) → count. Dispatch the first session of a tenant's line (1), or pass over
-- it because it is not ready any more, or broken (0). The tenant, which stands at `time` in the rotation, goes back by the price of one
-- turn, or of so many as `take` tells: since only how far tenants are from the one that was served last matters, one without a `rival` stays at that distance.
-- `counted`: in a slot of the tenant. With a `model`, of the line at that model. `take` is asked, where there is one: `go`, `moved` (into
-- another line, 0), `pass` (over it), or `stop`, which leaves all as it is (no count).
local function send_next(tenant, queue, time, rival, now, known, counted, model, take)
  local at, count, next_time = model and queue .. '@' .. model or queue, 0, time
  local line, rotation = key.ready .. at .. ':' .. tenant, key.rotation .. at
  local function read(...)
    local found = redis.pcall(...)
    if lacks_right(found) then error(found) end
    return found.err and {} or found
  end
  local session, another = unpack(read('ZRANGE', line, 0, 1))
  local id, phase = unpack(read('HMGET', key.session .. (session or ''), 'head', 'phase'))
  local state, its_queue, weight = unpack(read('HMGET', key.turn .. (id or ''), 'state', 'queue', 'weight'))
  if phase == 'ready' and state == 'queued' and its_queue == queue then
    local word, units = 'go', 1
    if take then word, units = take(id, tenant, session, queue, now) end
    if word == 'stop' then return nil end
    if word == 'go' then
      dispatch(session, id, now, queue, known, counted)
      count = 1
    end
    if word ~= 'pass' then
      if model or rival or time - known.served ~= price_of(weight, units) then
        if not model then redis.call('HSET', key.stats, 'served:' .. queue, time) end
        known.served, next_time = tonumber(time), time + price_of(weight, units)
      end
    end
  end
  -- The line comes first: a tenant without one is found in the rotation, a line without its tenant would stay for ever.
  if session then redis.call('ZREM', line, session) end
  if not another then
    redis.call('ZREM', rotation, tenant)
  elseif next_time ~= time then
    redis.call('ZADD', rotation, next_time, tenant)
  end
  return count
end
