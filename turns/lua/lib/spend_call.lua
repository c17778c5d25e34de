-- spend_call(budget, tenant, at, tokens). Note a tenant's call that begins `at` a moment in what is spent of a model's budget: it takes a
-- minute's tokens at most, so that no estimate stops others for longer. A budget without limits is kept after a pause alone, and is
-- forgotten some time after that.
local function spend_call(budget, tenant, at, tokens)
  if not budget.kept then return end
  local spent = key.budget .. budget.model
  if budget.requests > 0 then budget.requests_spent = math.max(at, budget.requests_spent) + rule.budget_minute / budget.requests end
  if budget.tokens > 0 then
    budget.tokens_spent = math.max(at, budget.tokens_spent)
    spend_time(budget, tenant, call_time(budget, tokens), at)
  end
  redis.call('HSET', spent, 'requests', budget.set[1], 'tokens', budget.set[2], 'most', budget.set[3], 'guess', tokens,
    spent_fields(budget))
  if budget.requests + budget.tokens + budget.set[3] > 0 then keep_budget(budget, at) end
end
