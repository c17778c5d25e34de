-- leave_line(session, queue). Take a session out of its tenant's line.
local function leave_line(session, queue)
  local tenant = tenant_of(session)
  local line = key.ready .. queue .. ':' .. tenant
  if redis.pcall('ZREM', line, session) == 1 and redis.call('EXISTS', line) == 0 then
    redis.call('ZREM', key.rotation .. queue, tenant)
    redis.call('ZREM', key.parked .. queue, tenant)
  end
end
