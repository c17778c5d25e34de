-- is_alone(now) → boolean. Return whether no turns of another tenant were dispatched of late.
local function is_alone(now)
  return tonumber(redis.call('ZRANGE', key.tenants, -2, -2, 'WITHSCORES')[2] or 0) < now - rule.active
end
