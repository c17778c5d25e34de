-- Ask the owner of a batch to cancel what is left of it; one that nobody has worked on yet ends at once.
-- FLAGS  allow-oom
-- WORK   60 steps
-- KEYS   batch:<batch> batches_due unfinished:<tenant>
-- ARGV   batch tenant
-- RETURN cancelling | cancelled | ended | unknown
local record, now = key.batch .. batch, clock()
local of, ended, owner = unpack(redis.call('HMGET', record, 'tenant', 'ended', 'owner'))
if of ~= tenant then return { 'unknown' } end
if ended then
  leave_work(tenant, batch, now)
  return { 'ended' }
end
redis.call('HSETNX', record, 'cancelling', now)
if owner then
  redis.call('HSET', record, 'state', 'cancelling')
  return { 'cancelling' }
end
redis.call('HSET', record, 'state', 'cancelled', 'ended', now)
leave_work(tenant, batch, now)
return { 'cancelled' }
