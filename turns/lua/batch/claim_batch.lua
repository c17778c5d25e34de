-- Take a batch that nobody works on; its owner's token makes an earlier owner's results come too late.
-- FLAGS  allow-oom
-- WORK   300 steps
-- KEYS   batch:<batch>… batches_due
-- ARGV   token
-- RETURN batch | none
local now = clock()
for _, batch in ipairs(redis.call('ZRANGEBYSCORE', key.batches_due, '-inf', now, 'LIMIT', 0, 10)) do
  local record = key.batch .. batch
  if redis.call('HGET', record, 'tenant') and not redis.call('HGET', record, 'ended') then
    redis.call('ZADD', key.batches_due, now + rule.batch_lease, batch)
    redis.call('HSET', record, 'owner', token)
    redis.call('PEXPIRE', record, rule.batch_ttl)
    return { 'batch', batch }
  end
  redis.call('ZREM', key.batches_due, batch)
end
return { 'none' }
