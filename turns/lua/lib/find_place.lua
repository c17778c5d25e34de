-- find_place(id, session, state, queue, now) → place. Where an accepted turn stands: 0 at the head or ended, 1 and up in the mailbox. A
-- turn that waits nowhere is enqueued.
local function find_place(id, session, state, queue, now)
  if state ~= 'queued' or redis.call('HGET', key.session .. session, 'head') == id then return 0 end
  local place = redis.call('LPOS', key.mailbox .. session, id, 'MAXLEN', rule.most_waiting)
  if place then return place + 1 end
  local sent, known
  place, sent, known = enqueue(session, id, now, queue)
  if sent then set_off(session, id, queue, now, sent, known) end
  return place
end
