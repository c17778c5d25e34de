-- complete_and_release(id, session, now). A turn has ended, or its record is gone: do what a script that was cut short has left undone, and let
-- its session go on. `id` may be false, where a session has no head.
local function complete_and_release(id, session, now)
  if id then complete_end(id, session) end
  local seat = redis.call('HMGET', key.session .. session, 'head', 'worker')
  if seat[1] ~= id then return end
  if seat[2] then redis.call('SREM', key.owned .. seat[2], session) end
  release(session, now)
end
