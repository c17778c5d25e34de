-- spend_time(budget, tenant, time, at). Note tokens of a tenant's call, worth so much time of the model, as spent; less than nothing gives some
-- back. All that is spent is one sum, whoever spends it. Beside it stands who owes for the largest call, and until when that is paid
-- out of the tenant's share: smaller calls of others do not wait for it (`next_call`).
local function spend_time(budget, tenant, time, at)
  local share = rule.tenant_share / 1000
  local owed = math.max(0, budget.owed_until - at) * share
  budget.tokens_spent = budget.tokens_spent + time
  if budget.owed_by == tenant then
    owed = owed + time
  elseif time > owed then
    owed, budget.owed_by = time, tenant
  else
    return
  end
  budget.owed_until = at + math.max(0, math.min(owed, budget.tokens_spent - at)) / share
end
