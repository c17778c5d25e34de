-- Keep the result of one request of a batch, once, and the place before which all have one: the next owner reads on from there. `room`
-- is 0 when what the tenant has stored leaves none for more. The error of a request that was not asked is kept only where there is room.
-- FLAGS  allow-oom
-- WORK   2,000 steps: what has expired is removed
-- KEYS   batch:<batch> batches:<tenant> results:<file> files:<tenant> file:<file> pieces:<file> stored:<tenant>
--        tenant:<tenant>
-- ARGV   batch token number outcome result line piece offset asked: `completed` or `failed`; the place; 0 when no turn was asked
-- RETURN recorded room | full | lost
local record, file, now = key.batch .. batch, result_file(batch, outcome), clock()
local owner, tenant, last = unpack(redis.call('HMGET', record, 'owner', 'tenant', 'last'))
if owner ~= token then return { 'lost' } end
local other = result_file(batch, outcome == 'completed' and 'failed' or 'completed')
local _, bytes = count_results(batch, outcome)
if redis.call('HEXISTS', key.results .. file, number) + redis.call('HEXISTS', key.results .. other, number) == 0 then
  bytes = bytes + #result + 1
  if asked == '0' and not fits(tenant, file, bytes, now) then return { 'full' } end
  redis.call('HSET', key.results .. file, number, result, 'bytes', bytes)
end
redis.call('PEXPIRE', key.results .. file, rule.file_ttl)
if bytes > 0 then
  redis.call('ZADD', key.files .. tenant, 'NX', now, file)
  charge(tenant, file, bytes)
end
redis.call('HSET', record, 'line', line, 'piece', piece, 'offset', offset, 'last', math.max(tonumber(number), tonumber(last or 0)),
  'completed', (count_results(batch, 'completed')), 'failed', (count_results(batch, 'failed')))
return { 'recorded', fits(tenant, file, bytes, now) and 1 or 0 }
