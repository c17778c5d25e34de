-- Take a dispatched turn: it runs, under a lease and a fresh owner token, and its question and history window come back.
-- A repeat with the same nonce gets the first reply again. The head that has ended already makes room for the next turn.
-- An attempt counts from the last writes on: a claim that is cut short before them costs no chance.
-- FLAGS  allow-oom
-- WORK   24,000 steps, and 2 for each of window: a turn may want 10,000 messages, a long exchange take 1,000 more than a window
-- KEYS   turn:<id> turns:<session> session:<session> mailbox:<session> owned:<worker> due stats failed open events:<id> message_store:<session>
--        conversation:<session> webhook:<id> webhooks webhook_lines webhook_line:<key> webhooks_of:<key> undelivered celery-task-meta-<id> held
--        <queue> ready:<line>… rotation:<queue> steps:<thread> batch_slots parked:<queue> slots:<tenant> tenant:<tenant> tenants
--        open_turns:<tenant> open_bytes:<tenant> budget:<model> calls:<model> promised:<model> coming:<model> first_call:<kind> budgets looks workers; channel wake:<id>
-- ARGV   id worker nonce window window_bytes free: slots of the worker that are free beside this one
-- RETURN claimed session token attempt attempts_left sequence question options stream created started now
--        readable cut thread origin spent busy length large window…: `length`: messages in the history; a large turn comes without its window, and without what was asked if that is
--        large; `large`: its bytes, how many messages are the newest and the first ones, the history's length, 1 if cut | stale | unknown
local turn, owned, now = key.turn .. id, key.owned .. worker, clock()
local session, queue, state, attempts, forgiven, dispatches, began, last, stream, question, options, created, thread, spent, busy, large =
  unpack(redis.call('HMGET', turn, 'session', 'queue', 'state', 'attempts', 'forgiven', 'dispatches', 'started', 'sequence', 'stream',
    'question', 'options', 'created', 'thread', 'spent', 'busy', 'large'))
if not session then
  bring_out(rule.queues, free, now, true)
  return { 'unknown' }
end
local session_key = key.session .. session
local head, phase, sent, owner, since = unpack(redis.call('HMGET', session_key, 'head', 'phase', 'sent', 'owner', 'since'))
local again, open = phase == 'running' and owner == attempts .. ':' .. nonce, state == 'queued' or state == 'running'
if head ~= id or not open or phase ~= 'dispatched' and not again then
  bring_out(queue, free, now, true)
  if head == id and not open then complete_and_release(id, session, now) end
  return { 'stale' }
end
-- Answers are nothing without the exchange that they continue, however short a window is.
local messages, cut, newest, length, noted = read_claimed(session, math.max(window, thread and 1 or 0), tonumber(window_bytes), options, large)
local attempt, started, sequence = tonumber(attempts), began or now, tonumber(last or 0)
if not again then
  -- A claim that was cut short between its last two writes has counted this attempt, and told of it.
  local counted = state == 'running'
  if not counted then attempt = attempt + 1 end
  -- The queue has come as far as this dispatch, unless it is an older one of a turn that was sent again.
  if dispatches - attempts == 1 and dispatches_ahead(queue, sent) > 0 then redis.call('HSET', key.stats, 'passed:' .. queue, sent) end
  if stream == '1' and not counted then
    sequence = append_event(id, 'started', attempt, '', sequence)
    redis.call('PUBLISH', key.wake .. id, 'started')
  end
  redis.call('ZADD', key.due, now + rule.lease, session)
  -- An attempt is counted before it begins: a question that kills workers must not do so for ever.
  redis.call('HSET', turn, 'state', 'running', 'attempts', attempt, 'started', started, 'sequence', sequence)
  redis.call('HSET', session_key, 'phase', 'running', 'owner', attempt .. ':' .. nonce, 'lease', now + rule.lease, 'worker', worker)
  -- Without this mark the sweep finds a dead worker's turn when the lease has run out: no reason to refuse the claim.
  redis.pcall('SADD', owned, session)
  redis.pcall('PEXPIRE', owned, rule.owned_ttl)
  local waited = math.max(0, now - (since or now))
  redis.call('HINCRBY', key.stats, 'claimed{queue="' .. queue .. '",le="' .. bucket(waited) .. '"}', 1)
  redis.call('HINCRBY', key.stats, 'ready_ms{queue="' .. queue .. '"}', waited)
end
-- Last, when it is known that this worker is at work: it may be the only one, with a single slot.
bring_out(queue, free, now)

local reply = { 'claimed', session, attempt .. ':' .. nonce, attempt, rule.max_attempts - attempt + forgiven, sequence,
  question, options, stream, created, started, now, messages.err and 0 or 1, cut and 1 or 0, thread or id,
  thread and redis.call('HGET', key.turn .. thread, 'options') or '', spent or '', busy or '', length, '' }
return with_window(id, session, reply, messages, cut, newest, length, noted)
