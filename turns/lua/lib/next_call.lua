-- next_call(budget, tenant, now, tokens, coming) → ms. Return when the next call of a model may begin for a tenant, with so many tokens, after
-- those that are `coming` (nil: none); math.huge while as many are under way as may be.
-- Calls are spread evenly, with few at once, so that no minute, wherever it begins, holds more than a minute's worth.
local function next_call(budget, tenant, now, tokens, coming)
  local at, coming = math.max(now, pause_of(budget, tenant)), coming or 0
  if budget.requests > 0 then
    at = math.max(at, math.max(budget.requests_spent, now) + coming * rule.budget_minute / budget.requests - rule.budget_burst)
  end
  if budget.tokens > 0 then at = math.max(at, tokens_free(budget, tenant, now, tokens, coming)) end
  if budget.most > 0 and calls_under_way(budget, budget.most) + coming >= budget.most then return math.huge end
  return at
end
