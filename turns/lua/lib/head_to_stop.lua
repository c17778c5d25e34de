-- head_to_stop(session, id, when_busy) → text. What turn `id` is to stop, as its record notes it: `interrupt` or `rollback`, and the turn
-- that is at the head of its session; false where it stops none.
local function head_to_stop(session, id, when_busy)
  if when_busy ~= 'interrupt' and when_busy ~= 'rollback' then return false end
  local head, phase = unpack(redis.call('HMGET', key.session .. session, 'head', 'phase'))
  if not head or head == id or phase == 'held' or phase == 'closing' then return false end
  return when_busy .. ' ' .. head
end
