-- Give a schedule the entries back that it has lost, and look at it in time: a clock that was ahead, and has been set back, has put it off.
-- The tick after one that was asked while the clock was ahead is computed anew by whoever calls, and given as `next`, of the time `noted`.
-- FLAGS  allow-oom
-- WORK   60 steps
-- KEYS   schedule:<schedule> schedules:<tenant> scheduled_bytes:<tenant> schedules_due
-- ARGV   schedule tick next noted: ms; empty: nothing is computed yet
-- RETURN missing now (session schedule tick cron zone missed)…: whether nobody would have looked at it; its tick, if it was noted by a
--        time that is still to come
local record, now = key.schedule .. schedule, clock()
local its = redis.call('HMGET', record, 'session', 'tick', 'cron', 'zone', 'missed', 'noted', 'created')
local session = its[1]
if not session then return { 0, now } end

local member = session .. ' ' .. schedule
local tenant = tenant_of(session)
redis.call('ZADD', key.schedules .. tenant, 'NX', 0, member)
count_bytes(key.scheduled_bytes .. tenant, member,
  redis.call('HSTRLEN', record, 'question') + redis.call('HSTRLEN', record, 'options'))
local missing = redis.call('ZADD', key.schedules_due, 'NX', 1, member)
if next ~= '' and its[2] == tick then
  redis.call('HSET', record, 'tick', next, 'noted', noted)
  redis.call('ZADD', key.schedules_due, next, member)
elseif its[3] ~= '' and tonumber(its[6] or its[7] or nil) > now then
  return { missing, now, { session, schedule, its[2], its[3], its[4], its[5] } }
elseif tonumber(redis.call('ZSCORE', key.schedules_due, member)) > math.max(tonumber(its[2]), now + rule.schedule_rest) then
  redis.call('ZADD', key.schedules_due, its[2], member)
end
return { missing, now }
