-- pause_of(budget, tenant) → ms. Return until when a model is paused for a tenant.
local function pause_of(budget, tenant)
  return budget.tenant == tenant and math.max(budget.paused, budget.own_paused) or budget.paused
end
