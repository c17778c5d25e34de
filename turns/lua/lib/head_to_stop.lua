-- head_to_stop(session, id, when_busy, options) → text. What turn `id` is to stop or steer, as its record notes it: `interrupt`, `rollback` or
-- `steer`, and the turn that is at the head of its session; false where it does so to none. `options`: its own (JSON), or their outline. A turn
-- steers another only if both go into the history, or neither does: they become one turn there.
local function head_to_stop(session, id, when_busy, options)
  if when_busy ~= 'interrupt' and when_busy ~= 'rollback' and when_busy ~= 'steer' then return false end
  local head, phase = unpack(redis.call('HMGET', key.session .. session, 'head', 'phase'))
  if not head or head == id or phase == 'held' or phase == 'closing' then return false end
  if when_busy == 'steer' and is_kept(head) ~= keeps(options) then return false end
  return when_busy .. ' ' .. head
end
