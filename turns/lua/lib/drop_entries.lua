-- drop_entries(member, session). Drop all that stands of a schedule beside its record; its due entry last, by which the rest is found.
local function drop_entries(member, session)
  local tenant = tenant_of(session)
  drop_bytes(key.scheduled_bytes .. tenant, { member })
  redis.call('ZREM', key.schedules .. tenant, member)
  redis.call('ZREM', key.schedules_due, member)
end
