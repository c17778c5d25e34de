-- audit_tenants(now, unfinished). Correct what is counted of two tenants, others each time: 100 of the slots, of the turns and of their bytes
-- of each; and the bytes of sessions without a tenant. `unfinished` tells whether a turn is. Tenants that did nothing for long are forgotten.
local function audit_tenants(now, unfinished)
  local function correct(slots)
    for _, session in ipairs(redis.call('SRANDMEMBER', slots, 100)) do
      local phase = redis.pcall('HGET', key.session .. session, 'phase')
      if phase ~= 'dispatched' and phase ~= 'running' then redis.call('SREM', slots, session) end
    end
  end
  -- A worker of an older version ends turns and leaves their bytes.
  local function correct_bytes(tenant)
    for _, id in ipairs(redis.call('HRANDFIELD', key.open_bytes .. tenant, 100)) do
      if id ~= '' and not unfinished(id) then drop_unfinished(tenant, { id }) end
    end
  end
  correct_bytes('')
  for _, tenant in ipairs(redis.call('ZRANGEBYSCORE', key.tenants, '-inf', now - rule.forgotten, 'LIMIT', 0, 50)) do
    if redis.call('EXISTS', key.open_turns .. tenant, key.slots .. tenant) == 0 then
      redis.call('UNLINK', key.tenant .. tenant, key.open_bytes .. tenant)
      redis.call('ZREM', key.tenants, tenant)
    end
  end
  local first = now % math.max(1, math.ceil(redis.call('ZCARD', key.tenants) / 2)) * 2
  for _, tenant in ipairs(redis.call('ZRANGE', key.tenants, first, first + 1)) do
    local turns = key.open_turns .. tenant
    local from = now % math.max(1, math.ceil(redis.call('ZCARD', turns) / 100)) * 100
    for _, id in ipairs(redis.call('ZRANGE', turns, from, from + 99)) do
      if not unfinished(id) then drop_unfinished(tenant, { id }) end
    end
    correct_bytes(tenant)
    correct(key.slots .. tenant)
  end
  correct(key.batch_slots)
end
