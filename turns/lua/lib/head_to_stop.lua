-- head_to_stop(session, id, when_busy) → text. What turn `id` is to stop or steer, as its record notes it: `interrupt`, `rollback` or `steer`,
-- and the turn that is at the head of its session; false where it does so to none.
local function head_to_stop(session, id, when_busy)
  if when_busy ~= 'interrupt' and when_busy ~= 'rollback' and when_busy ~= 'steer' then return false end
  local head, phase = unpack(redis.call('HMGET', key.session .. session, 'head', 'phase'))
  if not head or head == id or phase == 'held' or phase == 'closing' then return false end
  return when_busy .. ' ' .. head
end
