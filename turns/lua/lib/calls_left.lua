-- calls_left(budget, tenant, now) → count. Return how many more calls of a model a tenant may have under way, as far as others leave room: its
-- share, while others are active or wait for the model, and few after a pause of its own. Of a thousand calls and more, the oldest are
-- counted.
local function calls_left(budget, tenant, now)
  local most = budget.tenant == tenant and budget.requests == 0 and budget.own_window > 0 and budget.own_window or math.huge
  local share = budget.most > 0 and math.max(1, math.floor(budget.most * rule.tenant_share / 1000)) or math.huge
  if share < most and calls_under_way(budget, share) >= share then
    local others = not is_alone(now)
    for queue in rule.queues:gmatch('%S+') do
      for _, waiting in ipairs(redis.call('ZRANGE', key.rotation .. queue .. '@' .. budget.model, 0, 1)) do
        others = others or waiting ~= tenant
      end
    end
    if others then most = share end
  end
  if most == math.huge or calls_under_way(budget, most) < most then return 1 end
  if not budget.by_tenant then
    budget.by_tenant = {}
    local function count(one) budget.by_tenant[one] = (budget.by_tenant[one] or 0) + 1 end
    for _, call in ipairs(redis.call('ZRANGE', key.calls .. budget.model, 0, 999)) do count(call:match('^%S+ %S+ %S+ (.*)$') or '') end
    for _, id in ipairs(redis.call('ZRANGE', key.promised .. budget.model, 0, 99)) do
      count(tenant_of(redis.call('HGET', key.turn .. id, 'session') or ''))
    end
  end
  return most - (budget.by_tenant[tenant] or 0)
end
