-- take_head(session, id, now, queue, at_once, counted) → sent. Put a turn at the head of its session: under the number of its next dispatch
-- `at_once`, or when there is room on its queue, nobody waits for it, and its tenant may have one more slot; else it is ready (0). The
-- session is due for a second look first, later the more stand before it: a long queue is no reason to send a turn again. `counted`:
-- a turn that goes at once takes a slot of its tenant.
local function take_head(session, id, now, queue, at_once, counted)
  local goes = at_once
  if not at_once and redis.call('EXISTS', key.rotation .. queue) == 0 then
    goes, counted = may_go(session, queue, now)
  end
  local sent = goes and redis.call('HINCRBY', key.stats, 'sent:' .. queue, 1) or 0
  local before = goes and dispatches_ahead(queue, sent) or redis.call('ZCARD', key.due)
  redis.call('ZADD', key.due, now + rule.grace + before * rule.pace, session)
  -- Since when it waits is told by whoever made it ready.
  redis.call('HSET', key.session .. session, 'head', id, 'phase', goes and 'dispatched' or 'ready', 'sent', sent,
    unpack(at_once and {} or { 'since', now }))
  if goes and counted then take_slot(session, queue, now) end
  return sent
end
