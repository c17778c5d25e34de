-- Ask the owner of a batch to cancel what is left of it.
-- FLAGS  allow-oom
-- WORK   20 steps
-- KEYS   batch:<batch>
-- ARGV   batch tenant
-- RETURN cancelling | ended | unknown
local record = key.batch .. batch
local owner, ended = unpack(redis.call('HMGET', record, 'tenant', 'ended'))
if owner ~= tenant then return { 'unknown' } end
if ended then return { 'ended' } end
redis.call('HSETNX', record, 'cancelling', clock())
redis.call('HSET', record, 'state', 'cancelling')
return { 'cancelling' }
