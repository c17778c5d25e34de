-- calls_to_come(model, now) → count. Return how many turns are on their way to a call of a model, and have no slot yet. One that was sent long
-- ago was lost, or called another model.
local function calls_to_come(model, now)
  local coming = key.coming .. model
  local oldest = redis.call('ZRANGE', coming, 0, 9, 'WITHSCORES')
  for place = 1, #oldest, 2 do
    if math.abs(now - oldest[place + 1]) > rule.budget_lost then redis.call('ZREM', coming, oldest[place]) end
  end
  return redis.call('ZCARD', coming)
end
