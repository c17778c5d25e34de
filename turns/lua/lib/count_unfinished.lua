-- count_unfinished(session, id, now). Count an accepted turn as one that its tenant has not finished.
local function count_unfinished(session, id, now)
  local tenant = tenant_of(session)
  if tenant == '' then return end
  redis.call('ZADD', key.open_turns .. tenant, now, id)
  if redis.call('ZADD', key.tenants, 'NX', now, tenant) == 1 then redis.call('HSET', key.stats, 'tenants', 1) end
end
