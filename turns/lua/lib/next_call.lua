-- next_call(budget, tenant, now) → ms. Return when the next call of a model may begin for a tenant; math.huge while as many are under way
-- as may be.
-- Calls are spread evenly, with few at once, so that no minute, wherever it begins, holds more than a minute's worth.
local function next_call(budget, tenant, now)
  local at = math.max(now, pause_of(budget, tenant))
  if budget.requests > 0 then at = math.max(at, budget.requests_spent - rule.budget_burst) end
  if budget.tokens > 0 then at = math.max(at, budget.tokens_spent - rule.budget_burst) end
  if budget.most > 0 and calls_under_way(budget.model, budget.most) >= budget.most then return math.huge end
  return at
end
