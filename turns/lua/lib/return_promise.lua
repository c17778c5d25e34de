-- return_promise(budget, id, tenant, tokens, now) → boolean. A turn that was sent for so many tokens of a model's budget does not take its slot:
-- what was spent for it is there again. Return whether it had one.
local function return_promise(budget, id, tenant, tokens, now)
  if redis.call('ZREM', key.promised .. budget.model, id) == 0 then return false end
  if budget.requests > 0 then budget.requests_spent = budget.requests_spent - rule.budget_minute / budget.requests end
  spend_time(budget, tenant, -call_time(budget, tokens), now)
  if budget.requests + budget.tokens > 0 then redis.call('HSET', key.budget .. budget.model, spent_fields(budget)) end
  return true
end
