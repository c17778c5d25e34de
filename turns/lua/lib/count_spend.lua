-- count_spend(session, slot, tokens, cost, now, kept). Count what an attempt has spent for its tenant. Sessions without one are counted when
-- the turn had a counted `slot`. `kept`: it is counted for the session as well, where that has a quota of its own.
local function count_spend(session, slot, tokens, cost, now, kept)
  local tenant = tenant_of(session)
  if tenant == '' and not slot then return end
  local known, today, whole = key.tenant .. tenant, math.floor(now / rule.day), '%.0f'
  local used, paid, turns = spent_today(tenant, now)
  redis.call('HSET', known, 'day', today, 'tokens', whole:format(used + tokens), 'cost', whole:format(paid + cost), 'turns', turns + 1)
  local per_minute, by_session, spent_until = unpack(redis.call('HMGET', known, 'tokens_per_minute', 'by_session', 'spent_until'))
  if tonumber(per_minute or 0) > 0 then
    local back = math.max(now, tonumber(spent_until or 0)) + tokens * rule.minute / per_minute
    redis.call('HSET', known, 'spent_until', ('%.3f'):format(back))
  end
  if by_session == '1' and kept then
    redis.call('HINCRBY', key.conversation .. session, 'tokens', tokens)
    redis.call('HINCRBY', key.conversation .. session, 'cost', cost)
  end
end
