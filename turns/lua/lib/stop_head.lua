-- stop_head(id, session, now, stops). Stop the head that turn `id` was accepted to stop or steer, and no other: `rollback` cancels it;
-- `interrupt` has it end with what it has said so far; with `steer` the turn stands next behind it, and its worker takes its question
-- up, now or when it is claimed; one that it has no room for waits behind all, as any other.
local function stop_head(id, session, now, stops)
  local way, other = stops:match('^(%S+) (%S+)$')
  local head, worker = unpack(redis.call('HMGET', key.session .. session, 'head', 'worker'))
  local state, queue = unpack(redis.call('HMGET', key.turn .. other, 'state', 'queue'))
  if head == other and state ~= 'queued' and state ~= 'running' then
    complete_and_release(other, session, now)
  elseif head == other and way == 'rollback' then
    cancel_head(other, session, now, queue, {})
  elseif head == other and way == 'steer' and not has_room(other, id, session) then
    redis.call('HDEL', key.turn .. id, 'busy', 'stops')
  elseif head == other and way == 'steer' then
    go_next(session, id)
    redis.call('HSETNX', key.turn .. other, 'busy', 'steer')
    if worker then redis.call('PUBLISH', key.orders .. worker, 'steer ' .. other) end
  elseif head == other then
    interrupt_head(other, session, now, queue)
  end
  redis.call('HDEL', key.turn .. id, 'stops')
end
