-- Give a running turn back: to be tried again after a delay, or at once at another worker; only the owner may. The turn
-- stays at the head of its session. A forgiven attempt does not count against the turn's chances.
-- FLAGS  allow-oom
-- KEYS   turn:<id> session:<session> owned:<worker> due stats <queue>
-- ARGV   id token delay forgive
-- RETURN requeued | replay | superseded
local id, token, delay, forgive = unpack(ARGV)
local turn, now = key.turn .. id, clock()
local known = redis.call('HMGET', turn, 'session', 'returned', 'state', 'forgiven', 'queue')
local session, state = known[1], known[3]
if not session then return { 'superseded' } end
local home = key.session .. session
local seat = redis.call('HMGET', home, 'owner', 'worker', 'head', 'phase')
local returned, owned = known[2] == token, seat[1] == token and seat[3] == id and seat[4] == 'running'
if returned and not (owned and state == 'queued') then return { 'replay' } end
if not returned and not (owned and state == 'running') then return { 'superseded' } end

if not returned then
  redis.call('HSET', turn, 'state', 'queued', 'returned', token, 'forgiven', known[4] + (forgive == '1' and 1 or 0))
end
redis.call('SREM', key.owned .. seat[2], session)
redis.call('HINCRBY', key.stats, 'requeued', 1)
if tonumber(delay) > 0 then
  redis.call('ZADD', key.due, now + delay, session)
  redis.call('HSET', home, 'phase', 'delayed')
  redis.call('HDEL', home, 'owner', 'lease', 'worker')
else
  dispatch(session, id, now, known[5])
end
return { 'requeued' }
