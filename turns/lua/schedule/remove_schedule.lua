-- Remove a schedule: its question is asked no more. Turns that it has asked stay.
-- FLAGS  allow-oom
-- WORK   40 steps
-- KEYS   schedule:<schedule> schedules:<tenant> scheduled_bytes:<tenant> schedules_due; channel wake:<id>
-- ARGV   schedule tenant: whose it must be; `*`: anybody's
-- RETURN removed | unknown
local session = redis.call('HGET', key.schedule .. schedule, 'session')
if not session or tenant ~= '*' and tenant_of(session) ~= tenant then return { 'unknown' } end
drop_schedule(session .. ' ' .. schedule, session, schedule)
-- Somebody may wait for the turn that it was to ask.
redis.call('PUBLISH', key.wake .. schedule, 'erased')
return { 'removed' }
