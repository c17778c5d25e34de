-- session_exists(session) → boolean. Return whether anything is stored of a session.
local function session_exists(session)
  return redis.call('EXISTS', key.conversation .. session, key.history .. session, key.session .. session, key.turns .. session) > 0
end
