-- drop_schedule(member, session, schedule). Forget a schedule: its record first, since whatever else a cut leaves is dropped with its due entry.
local function drop_schedule(member, session, schedule)
  redis.call('UNLINK', key.schedule .. schedule)
  redis.call('ZREM', key.schedules .. tenant_of(session), member)
  redis.call('ZREM', key.schedules_due, member)
end
