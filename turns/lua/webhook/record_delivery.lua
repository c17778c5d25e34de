-- Tell how an attempt to deliver a webhook went: it is done with, is tried again after a delay, or is given up, for good or
-- because the time is over. An attempt that was taken for lost has nothing to tell.
-- FLAGS  allow-oom
-- KEYS   webhook:<id> webhooks undelivered stats
-- ARGV   id event attempt reason delay: no reason when it was delivered; a delay below 0 gives up
-- RETURN delivered | waiting | given_up | superseded
local id, event, attempt, reason, delay = unpack(ARGV)
local job, now, later = key.webhook .. id, clock(), tonumber(delay)
local known = redis.call('HMGET', job, 'phase', 'event', 'attempts', 'since')
if known[1] ~= 'taken' or known[2] ~= event or known[3] ~= attempt then return { 'superseded' } end

if reason == '' then
  redis.call('DEL', job)
  redis.call('ZREM', key.webhooks, id)
  redis.call('HINCRBY', key.stats, 'webhooks_delivered', 1)
  return { 'delivered' }
end
if later >= 0 and now + later - known[4] <= rule.webhook_age then
  redis.call('ZADD', key.webhooks, now + later, id)
  redis.call('HSET', job, 'phase', 'waiting', 'reason', reason)
  return { 'waiting' }
end
redis.call('PEXPIRE', job, rule.failed_ttl)
redis.call('ZADD', key.undelivered, now, id)
redis.call('ZREMRANGEBYSCORE', key.undelivered, '-inf', now - rule.failed_ttl)
redis.call('HSET', job, 'phase', 'given_up', 'reason', reason)
redis.call('ZREM', key.webhooks, id)
redis.call('HINCRBY', key.stats, 'webhooks_given_up', 1)
return { 'given_up' }
