-- Have schedules looked at now that would not be looked at ever. The look puts off a tick that is still to come, and drops an entry
-- of which there is no schedule.
-- FLAGS  allow-oom
-- WORK   20 steps, and 6 for each of entries
-- KEYS   schedules_due
-- ARGV   entries…
-- RETURN missing: how many would not have been looked at
local missing = 0
for _, entry in ipairs(entries) do missing = missing + redis.call('ZADD', key.schedules_due, 'NX', 1, entry) end
return missing
