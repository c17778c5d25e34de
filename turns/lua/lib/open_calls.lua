-- open_calls(session, id) → calls, held, thread. The calls that a session waits for, the turn that has them, and its thread; false
-- where it waits for none. Turn `id`, whose acceptance was cut short, has not answered them yet.
local function open_calls(session, id)
  local head, phase, held, calls, thread = unpack(redis.call('HMGET', key.session .. session, 'head', 'phase', 'held', 'calls', 'thread'))
  if held and (phase == 'held' or phase ~= 'closing' and head == id) then return calls, held, thread end
  return false
end
