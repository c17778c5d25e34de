-- Check which workers are present: every worker does so all the time, and names itself. One that was not heard for `absence` ms and
-- does not listen to its orders is dead, and loses its leases now instead of when they run out: death ends both at once, while a
-- worker that lives is heard, whatever becomes of its subscription. The next call goes on where the bound ends this one.
-- FLAGS  allow-oom
-- WORK   40,000 steps: 1,000 silent workers, and 1,000 sessions of dead ones
-- KEYS   workers heard stats owned:<worker>… session:<session>… due webhooks budgets budget:<model>… promised:<model>…; channel
--        orders:<worker>
-- ARGV   worker absence: who calls, and ms of silence until it counts
-- RETURN released: how many leases were ended
local now = clock()
local new = not redis.call('ZSCORE', key.heard, worker)
local patience, since = outage_grace(now, worker)

local left = 1000
local function end_leases(dead)
  local owned, released = key.owned .. dead, 0
  local sessions = redis.call('SRANDMEMBER', owned, left)
  left = left - #sessions
  for _, session in ipairs(sessions) do
    -- A record that somebody else has broken must not keep all others waiting: hence the pcall.
    local holder = redis.pcall('HGET', key.session .. session, 'worker')
    if lacks_right(holder) then error(holder) end
    if holder == dead then
      redis.call('HSET', key.session .. session, 'lease', now, 'reaped', 1)
      redis.call('ZADD', key.due, now, session)
      released = released + 1
    end
  end
  if #sessions > 0 then redis.call('SREM', owned, unpack(sessions)) end
  if redis.call('EXISTS', owned) == 1 then return released end
  redis.call('HDEL', key.workers, dead)
  redis.call('ZREM', key.heard, dead)
  return released
end

-- Who signed on and died before it was ever heard counts from now; so does who was heard by a clock that has been set back.
if new then
  for _, other in ipairs(redis.call('HRANDFIELD', key.workers, 1000)) do redis.call('ZADD', key.heard, 'NX', now, other) end
end
for _, other in ipairs(redis.call('ZRANGEBYSCORE', key.heard, '(' .. now, '+inf', 'LIMIT', 0, 1000)) do
  redis.call('ZADD', key.heard, now, other)
end

if patience > now or now - since < tonumber(absence) then return 0 end
local released = 0
for _, silent in ipairs(redis.call('ZRANGEBYSCORE', key.heard, '-inf', now - absence, 'LIMIT', 0, 1000)) do
  if redis.call('PUBSUB', 'NUMSUB', key.orders .. silent)[2] == 0 then released = released + end_leases(silent) end
end
return released
