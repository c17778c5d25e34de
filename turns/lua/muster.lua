-- Call the roll: a worker whose connection is gone (nobody listens to its orders) for `absence` ms loses its leases now,
-- instead of when they run out. The fence makes a wrong guess harmless.
-- USES   clock
-- FLAGS  allow-oom
-- KEYS   workers missing stats owned:<worker>… session:<session>… due; channel orders:<worker>
-- ARGV   absence pause: ms without a listener until it counts, and least ms between two calls
-- RETURN released: how many leases were ended
local absence, pause, now = tonumber(ARGV[1]), tonumber(ARGV[2]), clock()
local called = tonumber(redis.call('HGET', key.stats, 'called') or 0)
if called <= now and now - called < pause then return 0 end
redis.call('HSET', key.stats, 'called', now)

local function let_go(worker)
  local released = 0
  for _, session in ipairs(redis.call('SMEMBERS', key.owned .. worker)) do
    -- A record that somebody else has broken must not keep all others waiting: hence the pcall.
    if redis.pcall('HGET', key.session .. session, 'worker') == worker then
      redis.call('HSET', key.session .. session, 'lease', now)
      redis.call('ZADD', key.due, now, session)
      released = released + 1
    end
  end
  redis.call('DEL', key.owned .. worker)
  redis.call('HDEL', key.workers, worker)
  redis.call('ZREM', key.missing, worker)
  return released
end

local released = 0
for _, worker in ipairs(redis.call('HKEYS', key.workers)) do
  local listeners = redis.call('PUBSUB', 'NUMSUB', key.orders .. worker)[2]
  local since = redis.call('ZSCORE', key.missing, worker)
  if listeners > 0 then
    if since then redis.call('ZREM', key.missing, worker) end
  elseif not since or tonumber(since) > now or now - called > absence * 4 then
    redis.call('ZADD', key.missing, now, worker)
  elseif now - since >= absence then
    released = released + let_go(worker)
  end
end
return released
