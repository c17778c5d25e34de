-- count_unfinished(session, id, now). Count an accepted turn as one that its tenant has not finished.
local function count_unfinished(session, id, now)
  local tenant = tenant_of(session)
  if tenant == '' then return end
  redis.call('ZADD', key.open_turns .. tenant, now, id)
  know_tenant(tenant, now)
end
