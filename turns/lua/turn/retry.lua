-- Put a failed turn back at the end of its session, with all its chances; one that answers open calls at once, while they are open.
-- WORK   12,000 steps: a mailbox is read
-- KEYS   turn:<id> turns:<session> session:<session> mailbox:<session> owned:<worker> events:<id> celery-task-meta-<id> due
--        stats failed open message_store:<session> conversation:<session> webhook:<id> webhooks webhook_lines
--        webhook_line:<key> webhooks_of:<key> undelivered held <queue> ready:<line>… rotation:<queue> steps:<thread>
--        batch_slots parked:<queue> slots:<tenant> tenant:<tenant> tenants open_turns:<tenant> open_bytes:<tenant> budget:<model> calls:<model>
--        promised:<model> coming:<model> first_call:<kind> budgets looks workers; channel wake:<id>
-- ARGV   id
-- RETURN accepted place | ended state | full_session | closed | unknown
local turn, now = key.turn .. id, clock()
local session, state, attempts, queue, dispatches, answers = unpack(redis.call('HMGET', turn, 'session', 'state', 'attempts', 'queue',
  'dispatches', 'answers'))
if not session or is_erased(id, session, state) then return { 'unknown' } end
if state ~= 'failed' then return { 'ended', state } end
local is_full = not answers and redis.call('LLEN', key.mailbox .. session) >= rule.max_waiting_per_session
if is_full then return { 'full_session' } end

complete_and_release(id, session, now)
if answers then
  local phase, held = unpack(redis.call('HMGET', key.session .. session, 'phase', 'held'))
  if phase ~= 'held' or held ~= answers then return { 'closed' } end
end
local place, sent, known = enqueue(session, id, now, queue, answers)
redis.call('UNLINK', key.events .. id)
redis.call('HDEL', turn, 'code', 'message', 'finished', 'started', 'closed', 'answer', 'output', 'usage', 'model', 'detail',
  'left_out', 'fallback', 'history_length', 'passed_over', 'spent', 'busy', 'merged', 'members')
redis.call('PERSIST', turn)
redis.call('HINCRBY', key.stats, 'revived', 1)
redis.call('HSET', turn, 'state', 'queued', 'forgiven', attempts, 'dispatches', (dispatches or 0) + (sent and math.min(sent, 1) or 0), 'first_text', 0)
redis.call('ZADD', key.open, now, id)
count_unfinished(session, id, now, asked_bytes(id))
redis.call('ZREM', key.failed, id)
-- It has not failed any more.
drop_webhooks({ id })
redis.call('DEL', key.celery_result .. id)
if sent then set_off(session, id, queue, now, sent, known) end
return { 'accepted', place }
