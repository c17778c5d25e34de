-- bring_to_clock(now). The clock has been set back: nothing that it has told may hold anybody up for as long as the two differ. Webhooks, 500
-- at most, are looked at when a delivery would be over; budgets of 100 models forget what is spent, their pauses and their promises.
local function bring_to_clock(now)
  local latest = now + math.max(rule.grace, rule.delivery)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key.webhooks, '(' .. latest, '+inf', 'LIMIT', 0, 500)) do
    redis.call('ZADD', key.webhooks, latest, id)
  end
  for _, model in ipairs(redis.call('ZRANGE', key.budgets, 0, 99)) do
    redis.call('HDEL', key.budget .. model, 'requests_spent', 'tokens_spent', 'owed_until', 'paused', 'own_paused')
    redis.call('DEL', key.promised .. model)
  end
end
