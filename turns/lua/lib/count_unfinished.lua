-- count_unfinished(session, id, now, bytes). Count an accepted turn as one that its tenant has not finished, and the bytes of what is asked.
local function count_unfinished(session, id, now, bytes)
  local tenant = tenant_of(session)
  if tenant ~= '' then
    redis.call('ZADD', key.open_turns .. tenant, now, id)
    know_tenant(tenant, now)
  end
  count_bytes(key.open_bytes .. tenant, id, bytes)
end
