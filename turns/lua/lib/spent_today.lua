-- spent_today(tenant, now) → tokens cost turns. Return what the turns of a tenant have spent since midnight, UTC; `cost` in millionths.
local function spent_today(tenant, now)
  local day, tokens, cost, turns = unpack(redis.call('HMGET', key.tenant .. tenant, 'day', 'tokens', 'cost', 'turns'))
  if tonumber(day or 0) ~= math.floor(now / rule.day) then return 0, 0, 0 end
  return tonumber(tokens), tonumber(cost), tonumber(turns)
end
