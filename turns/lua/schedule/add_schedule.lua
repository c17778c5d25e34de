-- Note a question that is to be asked later: once, not before `tick`, or at each tick of a cron rule, of which `tick` is the first.
-- Idempotent by its id. Whatever a cut leaves without a record is dropped when it is due.
-- WORK   700 steps
-- KEYS   schedule:<schedule> schedules:<tenant> scheduled_bytes:<tenant> schedules_due turn:<id>
-- ARGV   schedule session mark tick cron zone missed queue question options outline stream fingerprint weight quotas when_held when_busy most:
--        `mark` tells a repeat from another schedule; ms; an empty `cron` is no rule; `fingerprint` and what follows as `submit_held` has
--        them; `most` schedules of a tenant
-- RETURN added tick | again tick | asked | conflict | full_session | full | full_bytes limit
local record, tenant, now = key.schedule .. schedule, tenant_of(session), clock()
local all, account, bytes = key.schedules .. tenant, key.scheduled_bytes .. tenant, #question + #options
local seen, noted = unpack(redis.call('HMGET', record, 'mark', 'tick'))
if seen == mark then return { 'again', noted } end
local turn = cron == '' and redis.call('HGET', key.turn .. schedule, 'fingerprint')
if turn == fingerprint then return { 'asked' } end
if seen or turn then return { 'conflict' } end
local member = session .. ' ' .. schedule
if not redis.call('ZSCORE', all, member) then
  if #schedules_of(session, rule.session_schedules) >= rule.session_schedules then return { 'full_session' } end
  if redis.call('ZCARD', all) >= tonumber(most) then return { 'full' } end
end
local room = over_bytes(account, bytes, quotas ~= '' and cjson.decode(quotas) or {})
if room then return { 'full_bytes', room } end

redis.call('ZADD', key.schedules_due, tick, member)
redis.call('ZADD', all, 0, member)
-- A cut, or an older version, has perhaps left the bytes of another that stood under this name.
drop_bytes(account, { member })
count_bytes(account, member, bytes)
redis.call('HSET', record, 'session', session, 'mark', mark, 'tick', tick, 'cron', cron, 'zone', zone, 'missed', missed, 'queue', queue,
  'question', question, 'options', options, 'outline', outline, 'stream', stream, 'fingerprint', fingerprint, 'weight', weight, 'quotas', quotas,
  'when_held', when_held, 'when_busy', when_busy, 'created', now)
return { 'added', tick }
