-- Keep a batch, or let another gateway have it; its owner hears of a cancel by its state, and if one waits for a gateway.
-- FLAGS  allow-oom
-- WORK   40 steps
-- KEYS   batch:<batch> batches_due
-- ARGV   batch token lease: ms for which it is kept; 0 lets it go, behind all that wait
-- RETURN held state waiting | lost
local owner, state, tenant, ended = unpack(redis.call('HMGET', key.batch .. batch, 'owner', 'state', 'tenant', 'ended'))
if owner ~= token then return { 'lost' } end
local now = clock()
if not ended then redis.call('ZADD', key.batches_due, now + lease, tenant .. '/' .. batch) end
return { 'held', state, #redis.call('ZRANGEBYSCORE', key.batches_due, '-inf', now, 'LIMIT', 0, 1) }
