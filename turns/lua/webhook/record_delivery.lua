-- Tell how an attempt to deliver a webhook went: it is done with, is tried again after a delay, or is given up, for good or
-- because the time is over. An attempt that was taken for lost has nothing to tell.
-- FLAGS  allow-oom
-- WORK   400 steps
-- KEYS   webhook:<id> webhooks webhooks_of:<key> undelivered stats
-- ARGV   id event attempt reason delay: no reason when it was delivered; a delay below 0 gives up
-- RETURN delivered | waiting | given_up | superseded
local webhook, now, later = key.webhook .. id, clock(), tonumber(delay)
local phase, current, attempts, since, its = unpack(redis.call('HMGET', webhook, 'phase', 'event', 'attempts', 'since', 'key'))
if phase ~= 'taken' or current ~= event or attempts ~= attempt then return { 'superseded' } end

if reason == '' then
  redis.call('ZREM', key.webhooks_of .. (its or ''), id)
  redis.call('DEL', webhook)
  redis.call('ZREM', key.webhooks, id)
  redis.call('HINCRBY', key.stats, 'webhooks_delivered', 1)
  return { 'delivered' }
end
if later >= 0 and now + later - since <= rule.webhook_age then
  redis.call('ZADD', key.webhooks, now + later, id)
  redis.call('HSET', webhook, 'phase', 'waiting', 'reason', reason)
  return { 'waiting' }
end
give_up_webhook(id, its or '', reason, now)
return { 'given_up' }
