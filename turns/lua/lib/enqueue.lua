-- enqueue(session, id, now, queue) → place sent. At the head when the session is idle (0, and the number of the dispatch that is
-- to be sent), else behind those who wait (1 and up). A place that a script left that was cut short is taken over.
local function enqueue(session, id, now, queue)
  local head, mailbox = redis.call('HGET', key.session .. session, 'head'), key.mailbox .. session
  local place, sent = 0, nil
  if not head or head == id then
    sent = take_head(session, id, now, queue)
  else
    local found = redis.call('LPOS', mailbox, id)
    place = found and found + 1 or redis.call('RPUSH', mailbox, id)
  end
  keep_history(session, true)
  return place, sent
end
