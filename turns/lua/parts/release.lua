-- release(session, now). The head is done: the next turn's dispatch goes out, or the session falls idle.
local function release(session, now)
  local following
  repeat
    following = redis.call('LPOP', key.mailbox .. session)
  until not following or redis.call('EXISTS', key.turn .. following) == 1
  keep(session, following)
  if following then
    return dispatch(session, following, now)
  end
  redis.call('DEL', key.session .. session)
  redis.call('ZREM', key.due, session)
end
