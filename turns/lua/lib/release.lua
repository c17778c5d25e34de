-- release(session, now). The head is done: the next turn may run, or the session falls idle. What stands in the mailbox
-- and does not wait any more is passed over, 20 turns in one go: then the sweep, for which the head that has ended stays, goes on.
local function release(session, now)
  local mailbox = key.mailbox .. session
  for _ = 1, 20 do
    local id = redis.call('LINDEX', mailbox, 0)
    if not id then
      keep_history(session, false)
      redis.call('DEL', key.session .. session)
      redis.call('ZREM', key.due, session)
      return
    end
    local state, queue = unpack(redis.call('HMGET', key.turn .. id, 'state', 'queue'))
    if state == 'queued' then
      -- It leaves the mailbox last: a turn that stands in two places runs once, one that stands nowhere never would.
      keep_history(session, true)
      make_ready(session, id, now, queue)
      redis.call('LPOP', mailbox)
      return
    end
    complete_end(id, session)
    redis.call('LPOP', mailbox)
  end
  redis.call('ZADD', key.due, now, session)
end
