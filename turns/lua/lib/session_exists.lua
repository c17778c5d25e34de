-- session_exists(session) → boolean. Whether anything is known of a session.
local function session_exists(session)
  return redis.call('EXISTS', key.conversation .. session, key.history .. session, key.session .. session, key.turns .. session) > 0
end
