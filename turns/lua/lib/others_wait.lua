-- others_wait(budget, now) → boolean. Return whether turns wait for a model; those of a tenant for which alone it is paused do not count.
local function others_wait(budget, now)
  for queue in rule.queues:gmatch('%S+') do
    for _, tenant in ipairs(redis.call('ZRANGE', key.rotation .. queue .. '@' .. budget.model, 0, 1)) do
      if budget.tenant ~= tenant or budget.own_paused <= now then return true end
    end
  end
  return false
end
