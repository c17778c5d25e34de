-- Take a webhook that was sent off, to deliver it now. Should nothing be heard of that, it is sent off again.
-- FLAGS  allow-oom
-- WORK   50 steps
-- KEYS   webhook:<id> webhooks
-- ARGV   id
-- RETURN taken event type created url key attempt calls | stale
local webhook, now = key.webhook .. id, clock()
local phase, event, event_type, created, url, signing_key, attempts, calls = unpack(redis.call('HMGET', webhook, 'phase', 'event', 'type', 'created',
  'url', 'key', 'attempts', 'calls'))
if phase ~= 'sent' then return { 'stale' } end

local attempt = attempts + 1
redis.call('ZADD', key.webhooks, now + rule.delivery, id)
redis.call('HSET', webhook, 'phase', 'taken', 'attempts', attempt)
return { 'taken', event, event_type, created, url, signing_key, attempt, calls or '' }
