-- Send a webhook off now that waits for its next attempt or was given up, with all its time again.
-- WORK   60 steps
-- KEYS   webhook:<id> webhooks undelivered <queue>
-- ARGV   id
-- RETURN sent | unknown
local webhook, now = key.webhook .. id, clock()
local phase = redis.call('HGET', webhook, 'phase')
if not phase then return { 'unknown' } end
if phase == 'waiting' or phase == 'given_up' then
  redis.call('HSET', webhook, 'since', now)
  redis.call('PEXPIRE', webhook, rule.webhook_ttl)
  send_webhook(id, now)
  redis.call('ZREM', key.undelivered, id)
end
return { 'sent' }
