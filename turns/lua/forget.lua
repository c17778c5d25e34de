-- Forget one turn that has ended: its record, events and result. What it added to the history stays, so its id is taken for as
-- long as its record would have been there: the same question again would be in the history twice.
-- FLAGS  allow-oom
-- KEYS   turn:<id> turns:<session> events:<id> failed celery-task-meta-<id>; channel wake:<id>
-- ARGV   id
-- RETURN forgotten | unended | unknown
local id = ARGV[1]
local known = redis.call('HMGET', key.turn .. id, 'session', 'state')
if not known[1] then return { 'unknown' } end
if known[2] == 'queued' or known[2] == 'running' then return { 'unended' } end

redis.call('DEL', key.turn .. id, key.events .. id, key.celery_result .. id)
redis.call('HSET', key.turn .. id, 'fingerprint', '')
redis.call('PEXPIRE', key.turn .. id, rule.result_ttl)
redis.call('ZREM', key.turns .. known[1], id)
redis.call('ZREM', key.failed, id)
redis.call('PUBLISH', key.wake .. id, 'erased')
return { 'forgotten' }
