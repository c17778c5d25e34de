-- make_room(session, now). Close the open calls of a held session for a turn that comes. When none waits before it, it runs at once;
-- otherwise the next sweep lets those go.
local function make_room(session, now)
  close_calls(session)
  if redis.call('EXISTS', key.mailbox .. session) == 1 then return redis.call('ZADD', key.due, now, session) end
  redis.call('ZREM', key.held, session)
  redis.call('UNLINK', key.session .. session)
end
