-- close_hold(session, now). Nobody answers the open calls of a held session: they are closed, and the next turn goes.
local function close_hold(session, now)
  close_calls(session)
  redis.call('ZREM', key.held, session)
  redis.call('HDEL', key.session .. session, 'held', 'calls', 'closing', 'thread')
  release(session, now)
end
