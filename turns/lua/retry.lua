-- Put a failed turn back at the end of its session, with all its chances.
-- USES   clock ahead dispatch keep enqueue
-- KEYS   turn:<id> session:<session> mailbox:<session> events:<id> celery-task-meta-<id> due stats failed
--        message_store:<session> conversation:<session> <queue>
-- ARGV   id
-- RETURN accepted place | ended state | unknown
local id = ARGV[1]
local turn, now = key.turn .. id, clock()
local known = redis.call('HMGET', turn, 'session', 'state', 'attempts')
if not known[1] then return { 'unknown' } end
if known[2] ~= 'failed' then return { 'ended', known[2] } end

redis.call('HDEL', turn, 'code', 'message', 'finished', 'started', 'closed', 'answer', 'usage', 'model')
redis.call('HSET', turn, 'state', 'queued', 'forgiven', known[3])
redis.call('PERSIST', turn)
redis.call('DEL', key.events .. id, key.celery_result .. id)
redis.call('ZREM', key.failed, id)
redis.call('HINCRBY', key.stats, 'failed', -1)
redis.call('HINCRBY', key.stats, 'open', 1)
return { 'accepted', enqueue(known[1], id, now) }
