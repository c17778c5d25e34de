-- number_dispatch(session, id, now, queue, known, counted, ...) → sent. Put a turn at the head of its session under the number of its next
-- dispatch, with more fields if need be. The session is due for a second look first, later the more stand before it: a long queue is no
-- reason to send a turn again. `counted`: it takes a slot of its tenant.
local function number_dispatch(session, id, now, queue, known, counted, ...)
  local sent = redis.call('HINCRBY', key.stats, 'sent:' .. queue, 1)
  local before = math.max(0, sent - known.passed)
  redis.call('ZADD', key.due, now + rule.grace + before * rule.pace, session)
  redis.call('HSET', key.session .. session, 'head', id, 'phase', 'dispatched', 'sent', sent, ...)
  if known.slots == 1 then redis.call('HSET', key.stats, 'sent_at:' .. queue, now) end
  if counted then take_slot(session, queue, now) end
  return sent
end
