-- take_up_webhook(id, its, now) → boolean. Count a webhook among those of the key `its` that are under way; false where there are as many as
-- may be. One that is counted still, but whose record has expired, is forgotten.
local function take_up_webhook(id, its, now)
  local under_way = key.webhooks_of .. its
  drop_old(under_way, now - rule.webhook_ttl)
  if not redis.call('ZSCORE', under_way, id) and redis.call('ZCARD', under_way) >= rule.most_webhooks then return false end
  -- Looked at later, should this be cut short.
  redis.call('ZADD', key.webhooks, now + rule.grace, id)
  redis.call('ZADD', under_way, now, id)
  redis.call('PEXPIRE', under_way, rule.webhook_ttl)
  return true
end
