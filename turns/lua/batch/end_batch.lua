-- End a batch; its results are files from now on. They count among the tenant's files, and are kept even where there is no room.
-- FLAGS  allow-oom
-- WORK   60 steps, and 30 for each of names
-- KEYS   batch:<batch> batches_due file:<file> files:<tenant>
-- ARGV   batch token state fault completed failed (outcomes names sizes)…: the counts, and for each file its id and bytes
-- RETURN ended | lost
local record, now = key.batch .. batch, ('%d'):format(clock())
local owner, tenant, ended = unpack(redis.call('HMGET', record, 'owner', 'tenant', 'ended'))
if owner ~= token then return { 'lost' } end
if not ended then
  for i, name in ipairs(names) do
    redis.call('HSET', key.file .. name, 'tenant', tenant, 'name', ('%s_%s.jsonl'):format(batch, outcomes[i]), 'purpose', 'batch_output',
      'created', now, 'bytes', sizes[i], 'batch', batch, 'outcome', outcomes[i])
    redis.call('PEXPIRE', key.file .. name, rule.file_ttl)
    redis.call('HSET', key.files .. tenant, name, now .. ' ' .. sizes[i])
    redis.call('HSET', record, outcomes[i] .. '_file', name)
  end
  redis.call('PEXPIRE', key.files .. tenant, rule.file_ttl)
  redis.call('HSET', record, 'completed', completed, 'failed', failed, 'fault', fault, 'state', state, 'ended', now)
end
redis.call('ZREM', key.batches_due, batch)
return { 'ended' }
