-- give_up_webhook(id, its, reason, now). A webhook of the key `its` is not tried any more; it can be sent again as long as its record is kept.
local function give_up_webhook(id, its, reason, now)
  redis.call('PEXPIRE', key.webhook .. id, rule.failed_ttl)
  redis.call('ZADD', key.undelivered, now, id)
  drop_old(key.undelivered, now - rule.failed_ttl)
  redis.call('ZREM', key.webhooks_of .. its, id)
  redis.call('HSET', key.webhook .. id, 'phase', 'given_up', 'reason', reason)
  redis.call('ZREM', key.webhooks, id)
  redis.call('HINCRBY', key.stats, reason == 'too_many' and 'webhooks_too_many' or 'webhooks_given_up', 1)
end
