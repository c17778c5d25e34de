-- next_call(budget, tenant, now, coming) → ms. Return when the next call of a model may begin for a tenant, after those that are `coming`
-- (nil: none); math.huge while as many are under way as may be.
-- Calls are spread evenly, with few at once, so that no minute, wherever it begins, holds more than a minute's worth.
local function next_call(budget, tenant, now, coming)
  local at = math.max(now, pause_of(budget, tenant))
  local function behind(spent, one, limit)
    if limit > 0 then at = math.max(at, math.max(spent, now) + (coming or 0) * one * rule.budget_minute / limit - rule.budget_burst) end
  end
  behind(budget.requests_spent, 1, budget.requests)
  behind(budget.tokens_spent, math.min(budget.guess, budget.tokens), budget.tokens)
  if budget.most > 0 and calls_under_way(budget.model, budget.most) + (coming or 0) >= budget.most then return math.huge end
  return at
end
