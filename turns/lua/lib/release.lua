-- release(session, now). The head is done: the next turn's dispatch goes out, or the session falls idle. What stands in the mailbox
-- and does not wait any more is passed over.
local function release(session, now)
  local mailbox = key.mailbox .. session
  for id in function() return redis.call('LINDEX', mailbox, 0) or nil end do
    local state, queue = unpack(redis.call('HMGET', key.turn .. id, 'state', 'queue'))
    if state == 'queued' then
      -- It leaves the mailbox last: a turn that stands in two places runs once, one that stands nowhere never would.
      keep_history(session, true)
      dispatch(session, id, now, queue)
      redis.call('LPOP', mailbox)
      return
    end
    complete_end(id, session)
    redis.call('LPOP', mailbox)
  end
  keep_history(session, false)
  redis.call('DEL', key.session .. session)
  redis.call('ZREM', key.due, session)
end
