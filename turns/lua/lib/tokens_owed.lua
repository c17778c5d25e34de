-- tokens_owed(tenant, now) → ms. Return until when a tenant has spent more than a minute's worth of its tokens; negative: what is left.
-- Debts that a clock has told which was set back since are forgotten.
local function tokens_owed(tenant, now)
  local spent_until, spent_at = unpack(redis.call('HMGET', key.tenant .. tenant, 'spent_until', 'spent_at'))
  return math.ceil((tonumber(spent_at or 0) <= now and tonumber(spent_until or 0) or 0) - now - rule.minute)
end
