-- Take a webhook that was sent off, to deliver it now. Should nothing be heard of that, it is sent off again.
-- USES   clock
-- FLAGS  allow-oom
-- KEYS   webhook:<id> webhooks
-- ARGV   id
-- RETURN taken event type created url key attempt | stale
local id = ARGV[1]
local job, now = key.webhook .. id, clock()
local known = redis.call('HMGET', job, 'phase', 'event', 'type', 'created', 'url', 'key')
if known[1] ~= 'sent' then return { 'stale' } end

local attempt = redis.call('HINCRBY', job, 'attempts', 1)
redis.call('HSET', job, 'phase', 'taken')
redis.call('ZADD', key.webhooks, now + rule.delivery, id)
return { 'taken', known[2], known[3], known[4], known[5], known[6], attempt }
