-- End a batch; its results are files from now on. They count among the tenant's files, and are kept even where there is no room.
-- FLAGS  allow-oom
-- WORK   200 steps
-- KEYS   batch:<batch> batches_due unfinished:<tenant> file:<file> files:<tenant> results:<file> stored:<tenant> batches:<tenant>
-- ARGV   batch token state fault
-- RETURN ended | lost
local record, now = key.batch .. batch, clock()
local owner, tenant, ended, line, last = unpack(redis.call('HMGET', record, 'owner', 'tenant', 'ended', 'line', 'last'))
if owner ~= token then return { 'lost' } end
if not ended then
  for _, outcome in ipairs({ 'completed', 'failed' }) do
    local file, count, bytes = result_file(batch, outcome), count_results(batch, outcome)
    if count > 0 then
      redis.call('ZADD', key.files .. tenant, now, file)
      charge(tenant, file, bytes)
      redis.call('HSET', key.file .. file, 'tenant', tenant, 'name', ('%s_%s.jsonl'):format(batch, outcome), 'purpose', 'batch_output',
        'created', now, 'bytes', bytes, 'lines', math.max(tonumber(line), tonumber(last or 0)))
      redis.call('PEXPIRE', key.file .. file, rule.file_ttl)
      redis.call('PEXPIRE', key.results .. file, rule.file_ttl)
      redis.call('HSET', record, outcome .. '_file', file)
    end
    redis.call('HSET', record, outcome, count)
  end
  redis.call('HSET', record, 'fault', fault, 'state', state, 'ended', now)
end
leave_work(tenant, batch, now)
return { 'ended' }
