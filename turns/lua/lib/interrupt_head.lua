-- interrupt_head(id, session, now, queue). Have the turn at the head of its session end with what it has said so far: it is marked, and its
-- worker ends it so, now or when it is claimed.
local function interrupt_head(id, session, now, queue)
  local phase, worker, slot = unpack(redis.call('HMGET', key.session .. session, 'phase', 'worker', 'slot'))
  redis.call('HSET', key.turn .. id, 'busy', 'interrupt')
  -- It is not to wait for a model that it will not call.
  local waits = phase == 'ready' and redis.call('HGET', key.turn .. id, 'waits_for')
  if waits then
    redis.call('HDEL', key.turn .. id, 'waits_for')
    leave_line(session, queue .. '@' .. waits)
  end
  if phase == 'delayed' or waits then make_ready(session, id, now, queue, true, slot) end
  if worker then redis.call('PUBLISH', key.orders .. worker, 'interrupt ' .. id) end
end
