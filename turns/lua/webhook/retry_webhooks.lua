-- Look at webhooks that are overdue, at most `limit`, and send them off again. Those whose message may still stand in its
-- queue wait until that is empty.
-- FLAGS  allow-oom
-- WORK   30 steps, and 15 for each of limit
-- KEYS   webhook:<id>… webhooks <queue>
-- ARGV   limit
-- RETURN seen posted: how many of each
local now, posted = clock(), 0
local empty = redis.call('LLEN', key.queue .. rule.webhook_queue) == 0
local overdue = redis.call('ZRANGEBYSCORE', key.webhooks, '-inf', now, 'LIMIT', 0, limit)
for _, id in ipairs(overdue) do
  local phase = redis.call('HGET', key.webhook .. id, 'phase')
  if not phase or phase == 'given_up' then
    redis.call('ZREM', key.webhooks, id)
  elseif phase == 'sent' and not empty then
    redis.call('ZADD', key.webhooks, now + rule.grace, id)
  else
    posted = posted + 1
    send_webhook(id, now)
  end
end
return { #overdue, posted }
