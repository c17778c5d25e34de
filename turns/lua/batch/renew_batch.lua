-- Keep a batch; its owner hears of a cancel by its state.
-- FLAGS  allow-oom
-- WORK   20 steps
-- KEYS   batch:<batch> batches_due
-- ARGV   batch token
-- RETURN held state | lost
local owner, state = unpack(redis.call('HMGET', key.batch .. batch, 'owner', 'state'))
if owner ~= token then return { 'lost' } end
redis.call('ZADD', key.batches_due, clock() + rule.batch_lease, batch)
return { 'held', state }
