-- enqueue(session, id, now) → place. At once when the session is idle (0), else behind those who wait (1 and up).
local function enqueue(session, id, now)
  keep(session, true)
  if redis.call('EXISTS', key.session .. session) == 1 then
    return redis.call('RPUSH', key.mailbox .. session, id)
  end
  dispatch(session, id, now)
  return 0
end
