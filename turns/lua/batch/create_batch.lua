-- Begin a batch over the requests in a file of a tenant. A gateway that works on batches takes it from `batches_due`.
-- WORK   300 steps
-- KEYS   file:<file> batch:<batch> batches:<tenant> batches_due
-- ARGV   tenant batch file facts window: what the caller said of it, as JSON, and ms until what was not asked expires
-- RETURN created | unknown_file
local record, now = key.batch .. batch, clock()
if redis.call('EXISTS', record) == 0 then
  if redis.call('HGET', key.file .. file, 'tenant') ~= tenant then return { 'unknown_file' } end
  -- First of all, so that a gateway finds what a cut leaves, and has it expire.
  redis.call('ZADD', key.batches_due, now, batch)
  redis.call('HSET', record, 'tenant', tenant, 'file', file, 'facts', facts, 'state', 'validating', 'created', now,
    'expires', now + window, 'total', 0, 'completed', 0, 'failed', 0, 'line', 0, 'piece', 0, 'offset', 0)
end
local created = redis.call('HGET', record, 'created')
redis.call('PEXPIRE', record, rule.batch_ttl)
local batches = key.batches .. tenant
redis.call('ZADD', batches, created, batch)
redis.call('PEXPIRE', batches, rule.batch_ttl)
drop_old(batches, now - rule.batch_ttl)
return { 'created' }
