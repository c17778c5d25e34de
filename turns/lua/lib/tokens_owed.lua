-- tokens_owed(tenant, now) → ms. Return until when a tenant has spent more than a minute's worth of its tokens; negative: what is left.
local function tokens_owed(tenant, now)
  return math.ceil(tonumber(redis.call('HGET', key.tenant .. tenant, 'spent_until') or 0) - now - rule.minute)
end
