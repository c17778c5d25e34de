-- park(tenant, queue, time). A tenant's turns have all slots that they may: its line is passed over until one of them is free.
local function park(tenant, queue, time)
  redis.call('ZADD', key.parked .. queue, time, tenant)
  redis.call('ZREM', key.rotation .. queue, tenant)
end
