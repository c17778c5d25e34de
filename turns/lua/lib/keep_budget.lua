-- keep_budget(budget, now). Keep what is known of a model's budget while turns wait for it, however long its calls last, and some time after
-- all that was spent of it has come back: one that is forgotten has no limits.
local function keep_budget(budget, now)
  local name = key.budget .. budget.model
  if redis.call('EXISTS', key.rotation .. 'chat@' .. budget.model, key.rotation .. 'batch@' .. budget.model) > 0 then
    redis.call('PERSIST', name)
  else
    local free = math.max(now, budget.paused, budget.own_paused, budget.tokens_spent)
    redis.call('PEXPIRE', name, math.ceil(free - now + rule.budget_ttl))
  end
end
