-- Give a running turn back: to be tried again after a delay, or at once at another worker; only the owner may. The turn
-- stays at the head of its session. A forgiven attempt does not count against the turn's chances.
-- FLAGS  allow-oom
-- WORK   2,000 steps: 20 sessions that are ready
-- KEYS   turn:<id> session:<session> owned:<worker> due stats <queue> ready:<line>… rotation:<queue> batch_slots
--        parked:<queue> slots:<tenant> tenant:<tenant> tenants
-- ARGV   id token delay forgive code model_calls: why it is given back, and calls of models that the attempt has made
-- RETURN requeued | replay | superseded
local turn, now = key.turn .. id, clock()
local session, returned_by, state, forgiven, queue = unpack(redis.call('HMGET', turn, 'session', 'returned', 'state', 'forgiven', 'queue'))
if not session then return { 'superseded' } end
local session_key = key.session .. session
local owner, worker, head, phase, slot = unpack(redis.call('HMGET', session_key, 'owner', 'worker', 'head', 'phase', 'slot'))
local returned, owned = returned_by == token, owner == token and head == id and phase == 'running'
if returned and not (owned and state == 'queued') then return { 'replay' } end
if not returned and not (owned and state == 'running') then return { 'superseded' } end

if not returned then
  redis.call('HSET', turn, 'state', 'queued', 'returned', token, 'forgiven', forgiven + (forgive == '1' and 1 or 0))
end
redis.call('SREM', key.owned .. worker, session)
redis.call('HINCRBY', key.stats, 'requeued{code="' .. code .. '"}', 1)
count_usage('', model_calls, '0', '0')
if tonumber(delay) > 0 then
  redis.call('ZADD', key.due, now + delay, session)
  free_slot(session, slot)
  redis.call('HSET', session_key, 'phase', 'delayed')
  redis.call('HDEL', session_key, 'owner', 'lease', 'worker')
  bring_back(session, slot, now)
else
  make_ready(session, id, now, queue, true, slot)
end
return { 'requeued' }
