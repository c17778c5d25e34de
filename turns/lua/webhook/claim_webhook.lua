-- Take a webhook that was sent off, to deliver it now. Should nothing be heard of that, it is sent off again.
-- FLAGS  allow-oom
-- KEYS   webhook:<id> webhooks
-- ARGV   id
-- RETURN taken event type created url key attempt | stale
local id = ARGV[1]
local job, now = key.webhook .. id, clock()
local known = redis.call('HMGET', job, 'phase', 'event', 'type', 'created', 'url', 'key', 'attempts')
if known[1] ~= 'sent' then return { 'stale' } end

local attempt = known[7] + 1
redis.call('ZADD', key.webhooks, now + rule.delivery, id)
redis.call('HSET', job, 'phase', 'taken', 'attempts', attempt)
return { 'taken', known[2], known[3], known[4], known[5], known[6], attempt }
