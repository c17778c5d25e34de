-- Ask the owner of a batch to cancel what is left of it; one that nobody works on yet is taken at once.
-- FLAGS  allow-oom
-- WORK   40 steps
-- KEYS   batch:<batch> batches_due
-- ARGV   batch tenant
-- RETURN cancelling | ended | unknown
local record, now = key.batch .. batch, clock()
local owner, ended = unpack(redis.call('HMGET', record, 'tenant', 'ended'))
if owner ~= tenant then return { 'unknown' } end
if ended then return { 'ended' } end
redis.call('ZADD', key.batches_due, 'NX', now, tenant .. '/' .. batch)
redis.call('HSETNX', record, 'cancelling', now)
redis.call('HSET', record, 'state', 'cancelling')
return { 'cancelling' }
