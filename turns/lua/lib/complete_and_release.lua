-- complete_and_release(id, session, now). A turn has ended, or its record is gone: do what a script that was cut short has left undone, and let
-- its session go on. `id` may be false, where a session has no head.
local function complete_and_release(id, session, now)
  if id then complete_end(id, session) end
  local head, worker = unpack(redis.call('HMGET', key.session .. session, 'head', 'worker'))
  if head ~= id then return end
  if worker then redis.call('SREM', key.owned .. worker, session) end
  release(session, now)
end
