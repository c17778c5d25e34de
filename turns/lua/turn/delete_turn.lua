-- Forget one turn that has ended: its record, events, result and webhook. What it added to the history stays, so its id is taken for as
-- long as its record would have been there: the same question again would be in the history twice. A branch goes with its last turn.
-- `only`: in this state, if given.
-- FLAGS  allow-oom
-- WORK   200 steps
-- KEYS   turn:<id> turns:<session> session:<session> conversation:<session> message_store:<session> events:<id> failed
--        celery-task-meta-<id> steps:<thread> webhook:<id> webhooks webhook_lines webhook_line:<key> webhooks_of:<key>
--        undelivered; channel wake:<id>
-- ARGV   id only
-- RETURN forgotten | ended | unended | held | unknown
local turn = key.turn .. id
local session, state, owed, calls, merged = unpack(redis.call('HMGET', turn, 'session', 'state', 'owed', 'calls', 'merged'))
if not session or is_erased(id, session, state) then return { 'unknown' } end
if state == 'queued' or state == 'running' or owed then return { 'unended' } end
if only ~= '' and state ~= only then return { 'ended' } end
if calls then
  local held, thread = unpack(redis.call('HMGET', key.session .. session, 'held', 'thread'))
  if held == (merged or id) or thread == id then return { 'held' } end
end

local names, record = {}, redis.call('HGETALL', turn)
for place = 1, #record, 2 do
  if record[place] ~= 'fingerprint' then names[#names + 1] = record[place] end
end
redis.call('HSET', turn, 'fingerprint', '')
redis.call('PEXPIRE', turn, rule.result_ttl)
redis.call('UNLINK', key.events .. id, key.celery_result .. id, key.steps .. id)
redis.call('ZREM', key.failed, id)
drop_webhooks({ id })
local turns, conversation = key.turns .. session, key.conversation .. session
local is_last = redis.call('ZCARD', turns) == 1 and redis.call('ZSCORE', turns, id) and redis.call('EXISTS', key.session .. session) == 0
if is_last and redis.call('HEXISTS', conversation, 'branch') == 1 then redis.call('UNLINK', conversation, key.history .. session) end
-- Until the record goes, a repeat starts over.
redis.call('HDEL', turn, unpack(names))
redis.call('ZREM', turns, id)
redis.call('PUBLISH', key.wake .. id, 'erased')
return { 'forgotten' }
