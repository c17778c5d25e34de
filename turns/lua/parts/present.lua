-- present(session) → boolean. Whether anything is known of a session.
local function present(session)
  return redis.call('EXISTS', key.conversation .. session, key.history .. session, key.session .. session, key.turns .. session) > 0
end
