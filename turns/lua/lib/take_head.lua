-- take_head(session, id, now, queue) → sent, known. Put a turn at the head of its session: under the number of its dispatch, when it may go at
-- once; else it is ready (0), and due for a second look first. Also return what was known of its queue.
local function take_head(session, id, now, queue)
  local known = read_queue(queue, 0)
  local counted = known.counted or tenant_of(session) ~= ''
  if may_go(session, queue, known, counted, now) then
    return number_dispatch(session, id, now, queue, known, counted, 'since', now), known
  end
  redis.call('ZADD', key.due, now + rule.grace + redis.call('ZCARD', key.due) * rule.pace, session)
  redis.call('HSET', key.session .. session, 'head', id, 'phase', 'ready', 'sent', 0, 'since', now)
  return 0, known
end
