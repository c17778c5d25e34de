-- note_spent(tenant, tokens, cost, turns, now). Add to what a tenant has spent since midnight, UTC, and in the last minute.
local function note_spent(tenant, tokens, cost, turns, now)
  local known, today, whole = key.tenant .. tenant, math.floor(now / rule.day), '%.0f'
  local used, paid, before = spent_today(tenant, now)
  redis.call('HSET', known, 'day', today, 'tokens', whole:format(used + tokens), 'cost', whole:format(paid + cost), 'turns', before + turns)
  local per_minute = tonumber(redis.call('HGET', known, 'tokens_per_minute') or 0)
  if per_minute > 0 then
    local back = math.max(now, tokens_owed(tenant, now) + now + rule.minute) + tokens * rule.minute / per_minute
    redis.call('HSET', known, 'spent_until', ('%.3f'):format(back), 'spent_at', now)
  end
end
