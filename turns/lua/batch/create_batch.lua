-- Begin a batch over the requests in a file of a tenant; idempotent by its id.
-- WORK   2,000 steps: what has expired is removed
-- KEYS   file:<file> batch:<batch> batches:<tenant> unfinished:<tenant> batches_due stored:<tenant> files:<tenant>
--        pieces:<file> results:<file> tenant:<tenant>
-- ARGV   tenant batch file facts fingerprint window: what the caller said of it, as JSON, and ms until what was not asked expires
-- RETURN created | conflict | unknown_file | unfinished_file | too_many | full
local record, unfinished, batches, now = key.batch .. batch, key.unfinished .. tenant, key.batches .. tenant, clock()
local seen = redis.call('HGET', record, 'fingerprint')
if seen and seen ~= fingerprint then return { 'conflict' } end
if not seen then
  local owner, whole = unpack(redis.call('HMGET', key.file .. file, 'tenant', 'whole'))
  if owner ~= tenant then return { 'unknown_file' } end
  if (whole or '') == '' then return { 'unfinished_file' } end
  if redis.call('ZCARD', unfinished) >= rule.most_unfinished_batches then return { 'too_many' } end
  local bytes = #facts + 1024
  if not fits(tenant, batch, bytes, now) then return { 'full' } end
  redis.call('ZADD', batches, now, batch)
  charge(tenant, batch, bytes)
  -- Before the record, so that a gateway finds what a cut leaves, and has it expire.
  redis.call('ZADD', unfinished, now, batch)
  admit_batches(tenant, now)
  redis.call('HSET', record, 'tenant', tenant, 'file', file, 'facts', facts, 'fingerprint', fingerprint, 'state', 'validating',
    'created', now, 'expires', now + window, 'total', 0, 'completed', 0, 'failed', 0, 'line', 0, 'piece', 0, 'offset', 0)
end
for _, name in ipairs({ record, unfinished, batches }) do redis.call('PEXPIRE', name, rule.file_ttl) end
return { 'created' }
