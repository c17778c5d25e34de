-- complete_and_release(id, session, now). A turn has ended, or its record is gone: do what a script that was cut short has left undone, and let
-- its session go on, unless that waits for answers to its calls. `id` may be false, where a session has no head.
local function complete_and_release(id, session, now)
  if id then complete_end(id, session) end
  local head, worker, phase, held, slot = unpack(redis.call('HMGET', key.session .. session, 'head', 'worker', 'phase', 'held', 'slot'))
  if head ~= id or phase == 'held' then return end
  if worker then redis.call('SREM', key.owned .. worker, session) end
  leave_slot(session, slot, now)
  if phase == 'closing' then return close_hold(session, now) end
  local state, calls, closing, thread = unpack(redis.call('HMGET', key.turn .. (id or ''), 'state', 'calls', 'closing', 'thread'))
  go_on(session, id, now, state, held, calls, closing, thread)
end
