-- enqueue(session, id, now, queue, answers, wait) → place, sent, known. At the head when the session is idle, or when the turn answers its open calls
-- (0, the number under which it is to set off, and what is known of its queue), else behind those who wait (1 and up). A place that a script
-- left that was cut short is taken over. With `wait` (ms) the head is put off by so much.
local function enqueue(session, id, now, queue, answers, wait)
  local head, mailbox = redis.call('HGET', key.session .. session, 'head'), key.mailbox .. session
  local place, sent, known = 0, nil, nil
  if wait and (not head or head == id) then
    redis.call('ZADD', key.due, now + wait, session)
    redis.call('HSET', key.session .. session, 'head', id, 'phase', 'delayed', 'sent', 0, 'since', now)
  elseif not head or head == id or answers then
    sent, known = take_head(session, id, now, queue)
    if answers then
      redis.call('HDEL', key.session .. session, 'lease')
      redis.call('ZREM', key.held, session)
    end
  else
    local found = redis.call('LPOS', mailbox, id, 'MAXLEN', rule.most_waiting)
    place = found and found + 1 or redis.call('RPUSH', mailbox, id)
  end
  keep_history(session, true)
  return place, sent, known
end
