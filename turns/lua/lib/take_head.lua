-- take_head(session, id, now, queue) → sent. Put a turn at the head of its session, under the number of its next dispatch. The session
-- is due for a second look first, later the more dispatches stand before it: a long queue is no reason to send a turn again.
local function take_head(session, id, now, queue)
  local sent = redis.call('HINCRBY', key.stats, 'sent:' .. queue, 1)
  redis.call('ZADD', key.due, now + rule.grace + dispatches_ahead(queue, sent) * rule.pace, session)
  redis.call('HSET', key.session .. session, 'head', id, 'phase', 'dispatched', 'sent', sent, 'since', now)
  return sent
end
