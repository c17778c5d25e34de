-- Send a webhook off now that waits for its next attempt or was given up, with all its time again. One that was
-- given up is one more under way of its key.
-- WORK   500 steps
-- KEYS   webhook:<id> webhooks webhooks_of:<key> undelivered <queue>
-- ARGV   id
-- RETURN sent | unknown | full
local webhook, now = key.webhook .. id, clock()
local phase, its = unpack(redis.call('HMGET', webhook, 'phase', 'key'))
if not phase then return { 'unknown' } end
if phase == 'waiting' or phase == 'given_up' then
  if not take_up_webhook(id, its or '', now) then return { 'full' } end
  redis.call('HSET', webhook, 'since', now)
  redis.call('PEXPIRE', webhook, rule.webhook_ttl)
  send_webhook(id, now)
  redis.call('ZREM', key.undelivered, id)
end
return { 'sent' }
