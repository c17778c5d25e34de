-- Call the roll: every worker does so all the time, and names itself. One that was not heard for `absence` ms and does not
-- listen to its orders is dead, and loses its leases now instead of when they run out: death ends both at once, while a worker
-- that lives is heard, whatever becomes of its subscription. Looks at 1,000 silent workers at most.
-- FLAGS  allow-oom
-- KEYS   workers heard stats owned:<worker>… session:<session>… due; channel orders:<worker>
-- ARGV   worker absence: who calls, and ms of silence until it counts
-- RETURN released: how many leases were ended
local caller, absence, now = ARGV[1], tonumber(ARGV[2]), clock()
local new = not redis.call('ZSCORE', key.heard, caller)
local patience, since = outage_grace(now, caller)

local function let_go(worker)
  local released = 0
  for _, session in ipairs(redis.call('SMEMBERS', key.owned .. worker)) do
    -- A record that somebody else has broken must not keep all others waiting: hence the pcall.
    local holder = redis.pcall('HGET', key.session .. session, 'worker')
    if lacks_right(holder) then error(holder) end
    if holder == worker then
      redis.call('HSET', key.session .. session, 'lease', now)
      redis.call('ZADD', key.due, now, session)
      released = released + 1
    end
  end
  redis.call('DEL', key.owned .. worker)
  redis.call('HDEL', key.workers, worker)
  redis.call('ZREM', key.heard, worker)
  return released
end

-- Who signed on and died before it was ever heard counts from now; so does who was heard by a clock that has been set back.
if new then
  for _, worker in ipairs(redis.call('HKEYS', key.workers)) do redis.call('ZADD', key.heard, 'NX', now, worker) end
end
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', key.heard, '(' .. now, '+inf', 'LIMIT', 0, 1000)) do
  redis.call('ZADD', key.heard, now, worker)
end

if patience > now or now - since < absence then return 0 end
local released = 0
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', key.heard, '-inf', now - absence, 'LIMIT', 0, 1000)) do
  if redis.call('PUBSUB', 'NUMSUB', key.orders .. worker)[2] == 0 then released = released + let_go(worker) end
end
return released
