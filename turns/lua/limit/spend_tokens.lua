-- Count tokens that a tenant has spent on a request that is no turn, and tell whether a quota is used up by now.
-- FLAGS  allow-oom
-- WORK   80 steps
-- KEYS   tenant:<tenant> tenants stats
-- ARGV   tenant tokens cost quotas: the cost in millionths, the quotas of the caller's key as JSON, or empty
-- RETURN left | over_quota name limit wait
local now, given = clock(), quotas ~= '' and cjson.decode(quotas) or {}
if tonumber(tokens) > 0 then
  know_tenant(tenant, now)
  note_spent(tenant, tonumber(tokens), tonumber(cost), 0, now)
end
local name, wait = spent_by_tenant(tenant, given, now)
if name then return { 'over_quota', name, ('%.0f'):format(given[name]), wait } end
return { 'left' }
