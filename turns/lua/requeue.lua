-- Give a running turn back: to be tried again after a delay, or at once at another worker; only the owner may. The turn
-- stays at the head of its session. A forgiven attempt does not count against the turn's chances.
-- USES   clock ahead dispatch
-- FLAGS  allow-oom
-- KEYS   turn:<id> session:<session> owned:<worker> due stats <queue>
-- ARGV   id token delay forgive
-- RETURN requeued | replay | superseded
local id, token, delay, forgive = unpack(ARGV)
local turn, now = key.turn .. id, clock()
local known = redis.call('HMGET', turn, 'session', 'returned')
local session = known[1]
if not session then return { 'superseded' } end
if known[2] == token then return { 'replay' } end
local home = key.session .. session
local seat = redis.call('HMGET', home, 'owner', 'worker')
if seat[1] ~= token then return { 'superseded' } end

redis.call('HSET', turn, 'state', 'queued', 'returned', token)
if forgive == '1' then redis.call('HINCRBY', turn, 'forgiven', 1) end
redis.call('SREM', key.owned .. seat[2], session)
redis.call('HINCRBY', key.stats, 'requeued', 1)
if tonumber(delay) > 0 then
  redis.call('HSET', home, 'phase', 'delayed')
  redis.call('HDEL', home, 'owner', 'lease', 'worker')
  redis.call('ZADD', key.due, now + delay, session)
else
  dispatch(session, id, now)
end
return { 'requeued' }
