-- call_time(budget, tokens) → ms. Return for how long a call of so many tokens takes all that a model may use: a minute at most.
local function call_time(budget, tokens)
  return budget.tokens > 0 and math.min(tokens, budget.tokens) * rule.budget_minute / budget.tokens or 0
end
