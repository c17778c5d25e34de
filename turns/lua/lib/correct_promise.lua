-- correct_promise(budget, id, tenant, tokens, now) → boolean. A turn was sent for a slot in a model's budget, and now tells how many tokens its
-- call wants: what was spent for it is corrected. Return whether the slot is good for it. One that is to take much more than a turn
-- that was sent gives the slot back, and asks as any other.
local function correct_promise(budget, id, tenant, tokens, now)
  local turn = key.turn .. id
  local wants = redis.call('HGET', turn, 'wants')
  local noted = tonumber(wants or 0)
  local more = call_time(budget, tokens) - call_time(budget, noted)
  local good = more <= rule.budget_burst
  if not good then return_promise(budget, id, tenant, noted, now) end
  -- First of all, so that nothing is corrected twice should this be cut.
  if wants then redis.call('HSET', turn, 'wants', tokens) end
  if good then
    spend_time(budget, tenant, more, now)
    redis.call('HSET', key.budget .. budget.model, spent_fields(budget))
  end
  return good
end
