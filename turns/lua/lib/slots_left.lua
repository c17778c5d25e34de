-- slots_left(tenant, slots, now) → count. Return how many more slots a tenant's turns may have: its limit, or, while others are active as
-- well, its share of all `slots`; none of them is counted as long as no worker has told how many there are.
local function slots_left(tenant, slots, now)
  local most = tonumber(redis.call('HGET', key.tenant .. tenant, 'running') or 0)
  if most == 0 then
    if slots == 0 or is_alone(now) then return 1 end
    most = math.max(1, math.floor(slots * rule.tenant_share / 1000))
  end
  return most - redis.call('SCARD', key.slots .. tenant)
end
