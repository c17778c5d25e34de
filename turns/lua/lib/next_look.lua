-- next_look(model, tenant, looked). Put a model for which turns wait into the order in which sweeps look at such models, where it is not, or it was
-- `looked` at: tenants take turns, however many models each waits for. It counts for the tenant whose turn is the earliest of those that wait
-- there, 20 of each queue at most, and of `tenant`, which is about to. Of a thousand tenants the turns are kept.
local function next_look(model, tenant, looked)
  if not looked and tonumber(redis.call('ZSCORE', key.budgets, model) or 0) < 0 then return end
  local turns, least, whose = key.looks, math.huge, tenant
  local _, first = unpack(redis.call('ZRANGE', key.budgets, 0, 0, 'WITHSCORES'))
  local begins = tonumber(first or 0) + 2 ^ 50
  if begins >= 2 ^ 50 then begins = tonumber(redis.call('ZRANGE', turns, -1, -1, 'WITHSCORES')[2] or 0) end
  local function consider(other)
    local turn = tonumber(redis.call('ZSCORE', turns, other) or 0)
    if turn < least then least, whose = turn, other end
  end
  if tenant then consider(tenant) end
  for _, queue in ipairs({ 'chat', 'batch' }) do
    for _, other in ipairs(redis.call('ZRANGE', key.rotation .. queue .. '@' .. model, 0, 19)) do consider(other) end
  end
  if not whose then return end
  redis.call('ZREMRANGEBYRANK', turns, 0, -1001)
  redis.call('ZADD', turns, math.max(begins, least) + 1, whose)
  redis.call('ZADD', key.budgets, math.max(begins, least) + 1 - 2 ^ 50, model)
end
