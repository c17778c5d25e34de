-- know_tenant(tenant, now). Have a tenant with a name among those that are known; what is noted of it is forgotten with it.
local function know_tenant(tenant, now)
  if tenant == '' then return end
  if redis.call('ZADD', key.tenants, 'NX', now, tenant) == 1 then redis.call('HSET', key.stats, 'tenants', 1) end
end
