-- unpark_some(queue, now). Let tenants go round again whose limits have grown since they were parked: 20 at most, others each time.
local function unpark_some(queue, now)
  local parked = key.parked .. queue
  local count = redis.call('ZCARD', parked)
  if count == 0 then return end
  local slots, first = tonumber(redis.call('HGET', key.stats, 'slots') or 0), now % math.ceil(count / 20) * 20
  for _, tenant in ipairs(redis.call('ZRANGE', parked, first, first + 19)) do
    if slots_left(tenant, slots, now) > 0 then unpark(tenant, queue) end
  end
end
