-- Take schedules whose tick is due: for `lease` ms no other worker gets them. One whose tick is still to come waits for it; what is left
-- of one without a record is dropped.
-- FLAGS  allow-oom
-- WORK   20 steps, and 40 for each of limit
-- KEYS   schedules_due schedule:<schedule>… schedules:<tenant>…
-- ARGV   limit lease
-- RETURN now (session schedule tick cron zone missed)…
local now = clock()
local found = { now }
for _, member in ipairs(redis.call('ZRANGEBYSCORE', key.schedules_due, '-inf', now, 'LIMIT', 0, limit)) do
  local session, schedule = member:match('^(%S+) (%S+)$')
  -- A key to which somebody else has given another type must not keep all others waiting: hence the pcall.
  local facts = redis.pcall('HMGET', key.schedule .. (schedule or ''), 'tick', 'cron', 'zone', 'missed', 'session')
  local tick = tonumber(facts[1] or nil)
  if facts.err or tick and facts[5] == session and tick <= now then
    redis.call('ZADD', key.schedules_due, now + lease, member)
    if not facts.err then found[#found + 1] = { session, schedule, facts[1], facts[2], facts[3], facts[4] } end
  elseif tick and facts[5] == session then
    redis.call('ZADD', key.schedules_due, tick, member)
  else
    redis.call('ZREM', key.schedules_due, member)
    redis.call('ZREM', key.schedules .. tenant_of(session or ''), member)
  end
end
return found
