-- stand_in_line(line, session, id, place, served, units). A ready session stands in its tenant's line, where it keeps a place before this one.
-- A tenant that comes anew joins the rotation one turn behind the one that was `served` last, before those who are there already:
-- nobody waits for two turns of another, or gains by coming and going.
local function stand_in_line(line, session, id, place, served, units)
  local tenant, rotation = tenant_of(session), key.rotation .. line
  redis.call('ZADD', key.ready .. line .. ':' .. tenant, 'LT', place, session)
  if not (redis.call('ZSCORE', rotation, tenant) or redis.call('ZSCORE', key.parked .. line, tenant)) then
    redis.call('ZADD', rotation, served + price_of(redis.call('HGET', key.turn .. id, 'weight'), units) - 1, tenant)
  end
end
