-- stay_ready(session, id, queue, now, waits_for). A ready session is overdue: it goes on waiting, also when its place in the line has been
-- lost; for the budget of a model, or for a slot.
local function stay_ready(session, id, queue, now, waits_for)
  if waits_for then return wait_for_model(session, id, queue, waits_for, now) end
  redis.call('ZADD', key.due, now + rule.grace + redis.call('ZCARD', key.due) * rule.pace, session)
  join_line(session, id, queue, read_queue(queue, 0))
end
