-- Say how many requests a batch has: it is in progress from now on.
-- FLAGS  allow-oom
-- WORK   20 steps
-- KEYS   batch:<batch>
-- ARGV   batch token total
-- RETURN started | lost
local record = key.batch .. batch
local owner, state, started = unpack(redis.call('HMGET', record, 'owner', 'state', 'in_progress'))
if owner ~= token then return { 'lost' } end
if not started then
  redis.call('HSET', record, 'state', state == 'validating' and 'in_progress' or state, 'total', total, 'in_progress', clock())
end
return { 'started' }
