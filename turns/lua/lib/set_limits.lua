-- set_limits(session, given). Note the limits of a tenant that hold beyond the acceptance of a turn, as the key has them that was used
-- last. Its lines go round again when they change.
local function set_limits(session, given)
  local tenant, running = tenant_of(session), given.running_turns or 0
  if tonumber(redis.call('HGET', key.tenant .. tenant, 'running') or 0) == running then return end
  redis.call('HSET', key.tenant .. tenant, 'running', running)
  redis.call('HSET', key.stats, 'tenants', 1)
  for queue in rule.queues:gmatch('%S+') do unpark(tenant, queue) end
end
