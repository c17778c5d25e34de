-- unpark(tenant, queue) → boolean. Put a parked tenant back into the rotation, at its time, or at that which was served last.
local function unpark(tenant, queue)
  local time = redis.call('ZSCORE', key.parked .. queue, tenant)
  if not time then return false end
  local served = redis.call('HGET', key.stats, 'served:' .. queue) or 0
  redis.call('ZADD', key.rotation .. queue, 'NX', math.max(tonumber(time), tonumber(served)), tenant)
  redis.call('ZREM', key.parked .. queue, tenant)
  return true
end
