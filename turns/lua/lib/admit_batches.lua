-- admit_batches(tenant, now). Let a tenant's oldest unfinished batches, so many as it may have at work at once, be taken by gateways. A
-- batch that comes or comes back stands behind all others that wait for one.
local function admit_batches(tenant, now)
  for _, batch in ipairs(redis.call('ZRANGE', key.unfinished .. tenant, 0, rule.batches_at_work - 1)) do
    redis.call('ZADD', key.batches_due, 'NX', now, tenant .. '/' .. batch)
  end
end
