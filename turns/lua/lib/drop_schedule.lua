-- drop_schedule(member, session, schedule). Forget a schedule: its record first, since whatever else a cut leaves is dropped with its due entry.
local function drop_schedule(member, session, schedule)
  redis.call('UNLINK', key.schedule .. schedule)
  drop_entries(member, session)
end
