-- Take the batch that has waited longest for a gateway; its owner's token makes an earlier owner's results come too late.
-- FLAGS  allow-oom
-- WORK   300 steps
-- KEYS   batch:<batch>… batches_due unfinished:<tenant>
-- ARGV   token
-- RETURN batch | none
local now = clock()
-- None is due later than a lease from now, but by a clock that has been set back.
for _, member in ipairs(redis.call('ZRANGEBYSCORE', key.batches_due, '(' .. now + rule.batch_lease, '+inf', 'LIMIT', 0, 10)) do
  redis.call('ZADD', key.batches_due, now + rule.batch_lease, member)
end
local due = redis.call('ZRANGEBYSCORE', key.batches_due, '-inf', now, 'WITHSCORES', 'LIMIT', 0, 10)
for i = 1, #due, 2 do
  local member, since = due[i], due[i + 1]
  local tenant, batch = member:match('^(.*)/(.*)$')
  local record = key.batch .. (batch or '')
  local state, ended = unpack(redis.call('HMGET', record, 'state', 'ended'))
  if state and not ended then
    redis.call('ZADD', key.batches_due, now + rule.batch_lease, member)
    redis.call('HSET', record, 'owner', token, 'left', since - rule.batch_lease)
    redis.call('PEXPIRE', record, rule.file_ttl)
    redis.call('PEXPIRE', key.unfinished .. tenant, rule.file_ttl)
    return { 'batch', batch }
  end
  if batch then leave_work(tenant, batch, now) else redis.call('ZREM', key.batches_due, member) end
end
return { 'none' }
