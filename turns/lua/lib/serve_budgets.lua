-- serve_budgets(now) → table. Look at the budgets of ten models, those first that were not looked at for longest: turns that wait are
-- sent for what has fallen free. Return their names; one that is not kept any more, and for which nobody waits, is left out.
local function serve_budgets(now)
  local kept = {}
  for _, model in ipairs(redis.call('ZRANGE', key.budgets, 0, 9)) do
    if redis.call('EXISTS', key.budget .. model, key.rotation .. 'chat@' .. model, key.rotation .. 'batch@' .. model) > 0 then
      kept[#kept + 1] = model
      redis.call('ZADD', key.budgets, now, model)
      send_waiting(model, now)
    else
      redis.call('ZREM', key.budgets, model)
    end
  end
  return kept
end
