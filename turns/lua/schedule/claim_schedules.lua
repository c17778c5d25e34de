-- Take schedules whose tick is due, the earliest first, and those of tenants that are `passed` not at all: for `lease` ms no other worker
-- gets them. `start`: so many of those that are due are left out. One whose tick is still to come waits for it; what is left of one
-- without a record is dropped.
-- FLAGS  allow-oom
-- WORK   36,000 steps, and 40 for each of limit: 1,000 entries are looked at, or dropped, and each of `passed` is an argument
-- KEYS   schedules_due schedule:<schedule>… schedules:<tenant>… scheduled_bytes:<tenant>…
-- ARGV   limit lease start passed…
-- RETURN now start (session schedule tick cron zone missed)…: where the next look goes on; -1 when there is nothing more
local now, place, passes = clock(), tonumber(start), {}
for _, tenant in ipairs(passed) do passes[tenant] = true end
local first = redis.call('ZRANGE', key.schedules_due, place, place, 'WITHSCORES')
if not first[1] or tonumber(first[2]) > now then return { now, -1 } end

local seen = redis.call('ZRANGE', key.schedules_due, place, place + rule.schedules_seen - 1, 'WITHSCORES')
local found, all = {}, #seen < 2 * rule.schedules_seen
for i = 1, #seen, 2 do
  local member, is_due = seen[i], tonumber(seen[i + 1]) <= now
  all = all and #found < tonumber(limit) or not is_due
  if not is_due or #found == tonumber(limit) then break end
  local session, schedule = member:match('^(%S+) (%S+)$')
  if passes[tenant_of(session or '')] then
    place = place + 1
  else
    -- A key to which somebody else has given another type must not keep all others waiting: hence the pcall.
    local facts = redis.pcall('HMGET', key.schedule .. (schedule or ''), 'tick', 'cron', 'zone', 'missed', 'session')
    local tick = tonumber(facts[1] or nil)
    if facts.err or tick and facts[5] == session and tick <= now then
      redis.call('ZADD', key.schedules_due, now + lease, member)
      if not facts.err then found[#found + 1] = { session, schedule, facts[1], facts[2], facts[3], facts[4] } end
    elseif tick and facts[5] == session then
      redis.call('ZADD', key.schedules_due, tick, member)
    else
      drop_entries(member, session or '')
    end
  end
end
return { now, all and -1 or place, unpack(found) }
