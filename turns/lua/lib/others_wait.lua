-- others_wait(budget, now, at) → boolean. Return whether turns wait for a model before a call that may begin `at` a moment: not those of a tenant
-- for which alone it is paused, nor those that are to go later, as they are larger.
local function others_wait(budget, now, at)
  for queue in rule.queues:gmatch('%S+') do
    local line = queue .. '@' .. budget.model
    for _, tenant in ipairs(redis.call('ZRANGE', key.rotation .. line, 0, 1)) do
      if budget.tenant ~= tenant or budget.own_paused <= now then
        if budget.owed_until <= now + rule.budget_burst then return true end
        local first = redis.call('ZRANGE', key.ready .. line .. ':' .. tenant, 0, 0)[1] or ''
        local wants = redis.call('HGET', key.turn .. (redis.call('HGET', key.session .. first, 'head') or ''), 'wants')
        if next_call(budget, tenant, now, tonumber(wants or 0)) <= at + rule.budget_burst then return true end
      end
    end
  end
  return false
end
