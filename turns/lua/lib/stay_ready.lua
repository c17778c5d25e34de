-- stay_ready(session, id, queue, now). A ready session is overdue: it goes on waiting, also when its place in the line has been lost.
local function stay_ready(session, id, queue, now)
  redis.call('ZADD', key.due, now + rule.grace + redis.call('ZCARD', key.due) * rule.pace, session)
  join_line(session, id, queue, now)
end
