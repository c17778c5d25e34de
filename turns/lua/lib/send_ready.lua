-- send_ready(queue, free, now). Dispatch ready sessions while there is room on a queue for `free` slots: each time of the tenant that has
-- the least time in the rotation, which then goes back by the price of one turn. No more than 20 in one go, with those that are
-- passed over: a session that is not ready any more, or that somebody else has broken.
local function send_ready(queue, free, now)
  local rotation = key.rotation .. queue
  if redis.call('EXISTS', rotation) == 0 then return end
  local function read(...)
    local found = redis.pcall(...)
    if lacks_right(found) then error(found) end
    return found.err and {} or found
  end
  local room = room_on(queue, free)
  for _ = 1, 20 do
    local tenant, time = unpack(room > 0 and redis.call('ZRANGE', rotation, 0, 0, 'WITHSCORES') or {})
    if not tenant then return end
    local line = key.ready .. queue .. ':' .. tenant
    local session, another = unpack(read('ZRANGE', line, 0, 1))
    local id, phase = unpack(read('HMGET', key.session .. (session or ''), 'head', 'phase'))
    local state, its_queue, weight = unpack(read('HMGET', key.turn .. (id or ''), 'state', 'queue', 'weight'))
    if phase == 'ready' and state == 'queued' and its_queue == queue then
      dispatch(session, id, now, queue)
      redis.call('HSET', key.stats, 'served:' .. queue, time)
      room, time = room - 1, time + price_of(weight)
    end
    -- The line comes first: a tenant without one is found in the rotation, a line without its tenant would stay for ever.
    if session then redis.call('ZREM', line, session) end
    if another then redis.call('ZADD', rotation, time, tenant) else redis.call('ZREM', rotation, tenant) end
  end
end
