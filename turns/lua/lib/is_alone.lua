-- is_alone(now) → boolean. Return whether no turns of another tenant were dispatched of late.
local function is_alone(now)
  return #redis.call('ZRANGEBYSCORE', key.tenants, now - rule.active, now, 'LIMIT', 0, 2) < 2
end
