-- serve_budgets(now) → table. Look at the budgets of ten models: seven for which turns wait, as far as there are so many, those first whose turn
-- it is, and others, those first that were not looked at for longest. Turns that wait are sent for what has fallen free. Whose turn it is is
-- forgotten where nobody waits. Return the models' names; one that is not kept any more, and for which nobody waits, is left out.
local function serve_budgets(now)
  local kept, seen, waiting, idle = {}, {}, false, redis.call('ZRANGEBYSCORE', key.budgets, 0, '+inf', 'LIMIT', 0, 3)
  local function look(model)
    if seen[model] then return end
    seen[model] = true
    local waits = redis.call('EXISTS', key.rotation .. 'chat@' .. model, key.rotation .. 'batch@' .. model) > 0
    waiting = waiting or waits
    local left = redis.call('PTTL', key.budget .. model)
    if not waits and left == -1 then keep_budget(read_budget(model), now) end
    if waits or left ~= -2 then
      kept[#kept + 1] = model
      if waits then next_look(model, nil, true) else redis.call('ZADD', key.budgets, now, model) end
      send_waiting(model, now)
    else
      redis.call('ZREM', key.budgets, model)
    end
  end
  for _, model in ipairs(redis.call('ZRANGE', key.budgets, 0, 6)) do look(model) end
  for _, model in ipairs(idle) do look(model) end
  if not waiting then redis.call('UNLINK', key.looks) end
  return kept
end
