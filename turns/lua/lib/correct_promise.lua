-- correct_promise(budget, id, tenant, tokens, now) → boolean. A turn was sent for a slot in a model's budget, and now tells how many tokens its
-- call wants: what was spent for it is corrected. Return whether the slot is good for it. One that is to take much more than a turn
-- that was sent gives the slot back, and asks as any other.
local function correct_promise(budget, id, tenant, tokens, now)
  local turn = key.turn .. id
  local wants = redis.call('HGET', turn, 'wants')
  local noted = call_time(budget, tonumber(wants or 0))
  local more = call_time(budget, tokens) - noted
  local good = more <= rule.budget_burst
  if not good then
    redis.call('ZREM', key.promised .. budget.model, id)
    if budget.requests > 0 then budget.requests_spent = budget.requests_spent - rule.budget_minute / budget.requests end
  end
  -- First of all, so that nothing is corrected twice should this be cut.
  if wants then redis.call('HSET', turn, 'wants', tokens) end
  spend_time(budget, tenant, good and more or -noted, now)
  redis.call('HSET', key.budget .. budget.model, spent_fields(budget))
  return good
end
