-- spent_by_tenant(tenant, given, now) → name ms. Return which quota of a tenant as a whole is spent, and when there is something of it again.
-- A minute's worth of tokens may come at once, and comes back evenly. What is under way has spent nothing yet: what it needs more than
-- there was is owed.
local function spent_by_tenant(tenant, given, now)
  if given.tokens_per_minute then
    local wait = tokens_owed(tenant, now)
    if wait >= 0 then return 'tokens_per_minute', wait + 1 end
  end
  local tokens, cost = spent_today(tenant, now)
  local rest_of_day = rule.day - now % rule.day
  if tokens >= (given.tokens_per_day or math.huge) then return 'tokens_per_day', rest_of_day end
  if cost >= (given.spend_per_day or math.huge) then return 'spend_per_day', rest_of_day end
end
