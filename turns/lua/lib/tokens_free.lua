-- tokens_free(budget, tenant, now, tokens, coming) → ms. Return when a model has so many tokens for a tenant's call, after those that are
-- `coming`. A call waits until all that is spent is over, but for what another tenant owes for a larger one: so a large call waits for
-- all tokens, smaller ones of others have at once what that tenant's share leaves, and no more is spent ahead than by one call.
local function tokens_free(budget, tenant, now, tokens, coming)
  local whole = math.max(budget.tokens_spent, now) + coming * call_time(budget, math.min(budget.guess, tokens)) - rule.budget_burst
  local share = budget.owed_by ~= tenant and rule.tenant_share / 1000 or 0
  local owed = math.max(0, budget.owed_until - now) * share - call_time(budget, tokens)
  if owed <= 0 then return whole end
  local early = math.max(0, whole - owed - now)
  return early == 0 and now or math.min(whole, now + early / (1 - share))
end
