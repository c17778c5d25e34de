-- Say how many requests a batch has: it is in progress from now on.
-- FLAGS  allow-oom
-- WORK   20 steps
-- KEYS   batch:<batch>
-- ARGV   batch token total
-- RETURN started | lost
local record = key.batch .. batch
local owner, state = unpack(redis.call('HMGET', record, 'owner', 'state'))
if owner ~= token then return { 'lost' } end
if state == 'validating' then redis.call('HSET', record, 'state', 'in_progress', 'total', total, 'in_progress', clock()) end
return { 'started' }
