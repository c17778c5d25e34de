-- Keep the result of one request of a batch, once, and the place before which all have one: the next owner reads on from there.
-- WORK   30 steps
-- KEYS   batch:<batch> results:<batch>
-- ARGV   batch token number outcome result line piece offset: `completed` or `failed`; the place
-- RETURN recorded | lost
local record, results = key.batch .. batch, key.results .. batch
if redis.call('HGET', record, 'owner') ~= token then return { 'lost' } end
if redis.call('HSETNX', results, number, outcome .. ' ' .. result) == 1 then redis.call('HINCRBY', record, outcome, 1) end
redis.call('PEXPIRE', results, rule.batch_ttl)
redis.call('HSET', record, 'line', line, 'piece', piece, 'offset', offset)
return { 'recorded' }
