-- take_slot(session, queue, now). A session's head is dispatched, and has one of its tenant's slots until it neither is nor runs. From the
-- first tenant with a name on, those of sessions without one are counted as well.
local function take_slot(session, queue, now)
  local tenant = tenant_of(session)
  redis.call('HSET', key.session .. session, 'slot', queue)
  redis.call('SADD', key.slots .. tenant, session)
  if queue == 'batch' then redis.call('SADD', key.batch_slots, session) end
  if redis.call('ZADD', key.tenants, now, tenant) == 1 and tenant ~= '' then redis.call('HSET', key.stats, 'tenants', 1) end
end
