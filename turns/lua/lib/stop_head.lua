-- stop_head(id, session, now, stops). Stop the head that turn `id` was accepted to stop or steer, and no other: `rollback` cancels it; with
-- `interrupt` it is marked, and its worker ends it with what it has said so far, now or when it is claimed; with `steer` the turn stands
-- next behind it, and its worker takes its question up, now or when it is claimed.
local function stop_head(id, session, now, stops)
  local way, other = stops:match('^(%S+) (%S+)$')
  local head, phase, worker, slot = unpack(redis.call('HMGET', key.session .. session, 'head', 'phase', 'worker', 'slot'))
  local state, queue, waits_for = unpack(redis.call('HMGET', key.turn .. other, 'state', 'queue', 'waits_for'))
  if head == other and state ~= 'queued' and state ~= 'running' then
    complete_and_release(other, session, now)
  elseif head == other and way == 'rollback' then
    cancel_head(other, session, now, queue, {})
  elseif head == other and way == 'steer' then
    go_next(session, id)
    redis.call('HSETNX', key.turn .. other, 'busy', 'steer')
    if worker then redis.call('PUBLISH', key.orders .. worker, 'steer ' .. other) end
  elseif head == other then
    redis.call('HSET', key.turn .. other, 'busy', 'interrupt')
    -- It is not to wait for a model that it will not call.
    local waits = phase == 'ready' and waits_for
    if waits then
      redis.call('HDEL', key.turn .. other, 'waits_for')
      leave_line(session, queue .. '@' .. waits)
    end
    if phase == 'delayed' or waits then make_ready(session, other, now, queue, true, slot) end
    if worker then redis.call('PUBLISH', key.orders .. worker, 'interrupt ' .. other) end
  end
  redis.call('HDEL', key.turn .. id, 'stops')
end
