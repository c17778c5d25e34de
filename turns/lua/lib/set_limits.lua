-- set_limits(tenant, quotas, given). Note the limits of a tenant that hold beyond the acceptance of a turn, as the key has them that was
-- used last. Its lines go round again when they change.
local function set_limits(tenant, quotas, given)
  local known = key.tenant .. tenant
  if redis.call('HGET', known, 'quotas') == quotas then return end
  redis.call('HSET', known, 'quotas', quotas, 'running', given.running_turns or 0, 'tokens_per_minute', given.tokens_per_minute or 0,
    'by_session', (given.tokens_per_session or given.spend_per_session) and 1 or 0, 'stored_bytes', given.stored_bytes or 0)
  redis.call('HSET', key.stats, 'tenants', 1)
  for queue in rule.queues:gmatch('%S+') do unpark(tenant, queue) end
end
