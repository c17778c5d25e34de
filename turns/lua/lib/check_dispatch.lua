-- check_dispatch(session, id, now, queue, sent, empty, slot) → count. Nobody has claimed a dispatched turn: it is dispatched again (1) when its dispatch
-- is known to be gone, because its queue is `empty`, or one that was sent later has been claimed. Otherwise it is looked at later.
local function check_dispatch(session, id, now, queue, sent, empty, slot)
  local before = dispatches_ahead(queue, sent)
  if before == 0 or empty then
    dispatch(session, id, now, queue, read_queue(queue, 0), slot)
    return 1
  end
  redis.call('ZADD', key.due, now + rule.grace + before * rule.pace, session)
  return 0
end
