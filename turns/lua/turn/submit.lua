-- Accept a turn; idempotent by its id. A repeat enqueues what a cut has left out. Refused by the server itself when it is out of memory.
-- WORK   12,000 steps: to find a turn in a mailbox, the others are read
-- KEYS   turn:<id>… turns:<session> session:<session> mailbox:<session> due stats open held failed events:<id>
--        message_store:<session> conversation:<session> celery-task-meta-<id> webhook:<id> webhooks webhook_lines
--        webhook_line:<key> webhooks_of:<key> undelivered steps:<thread> <queue> ready:<line>… rotation:<queue> batch_slots
--        parked:<queue> slots:<tenant> tenant:<tenant> tenants open_turns:<tenant> open_bytes:<tenant> rate:<key> conversations:<tenant>
--        budget:<model> calls:<model> promised:<model> coming:<model> first_call:<kind> budgets looks workers owned:<worker>; channel wake:<id>
-- ARGV   id session queue question options outline stream reply fingerprint weight quotas
-- RETURN accepted place | again state place | conflict | full_session | full_history | full | over_quota name limit wait
local mailbox, now = key.mailbox .. session, clock()

local seen, state, holder, its_queue = unpack(redis.call('HMGET', key.turn .. id, 'fingerprint', 'state', 'session', 'queue'))
if seen and holder and is_erased(id, holder, state) then
  remove_turns({ id })
elseif seen then
  if seen ~= fingerprint then return { 'conflict' } end
  return { 'again', state, find_place(id, session, state, its_queue, now) }
end
if redis.call('LLEN', mailbox) >= rule.max_waiting_per_session then return { 'full_session' } end
if history_full(session, 1) then return { 'full_history' } end
local open = redis.call('ZCARD', key.open)
if open >= rule.max_waiting then return { 'full' } end
local quota, most, wait = over_quota(session, quotas, open, now, #question + #options, outline ~= '' and outline or options)
if quota then return { 'over_quota', quota, most, wait } end

return { 'accepted', create_turn(id, session, queue, question, options, outline, stream, reply, fingerprint, weight, now) }
