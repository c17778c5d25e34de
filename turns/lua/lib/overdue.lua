-- overdue(now, limit, set_back_from) → table, ms, table. The sessions that are overdue, at most `limit`; the latest moment for which
-- one can be due; which queues are empty. When the clock has been set back, as many sessions that are due after that moment: the
-- other clock has put them off.
local function overdue(now, limit, set_back_from)
  local before, empty = redis.call('ZCARD', key.due), {}
  for queue in rule.queues:gmatch('%S+') do
    empty[queue] = redis.call('LLEN', key.queue .. queue) == 0
    before = math.max(before, dispatches_ahead(queue, redis.call('HGET', key.stats, 'sent:' .. queue) or 0))
  end
  local latest = now + math.max(rule.lease, rule.repair, rule.longest_retry, rule.grace + before * rule.pace)
  local sessions = redis.call('ZRANGEBYSCORE', key.due, '-inf', now, 'LIMIT', 0, limit)
  if set_back_from > latest then
    for _, session in ipairs(redis.call('ZRANGEBYSCORE', key.due, '(' .. latest, '+inf', 'LIMIT', 0, limit)) do
      sessions[#sessions + 1] = session
    end
  end
  return sessions, latest, empty
end
