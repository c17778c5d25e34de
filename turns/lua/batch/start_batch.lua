-- Say how many requests a batch has: it is in progress from now on. `room` is 0 when what the tenant has stored leaves none for results.
-- FLAGS  allow-oom
-- WORK   2,000 steps: what has expired is removed
-- KEYS   batch:<batch> batches:<tenant> results:<file> files:<tenant> file:<file> pieces:<file> stored:<tenant>
--        tenant:<tenant>
-- ARGV   batch token total
-- RETURN started room | lost
local record, now = key.batch .. batch, clock()
local owner, state, started, tenant = unpack(redis.call('HMGET', record, 'owner', 'state', 'in_progress', 'tenant'))
if owner ~= token then return { 'lost' } end
if not started then
  redis.call('HSET', record, 'state', state == 'validating' and 'in_progress' or state, 'total', total, 'in_progress', now)
end
local _, bytes = count_results(batch, 'failed')
return { 'started', fits(tenant, result_file(batch, 'failed'), bytes, now) and 1 or 0 }
