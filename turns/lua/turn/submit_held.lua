-- Accept a turn that does not wait for whatever its session is at; idempotent by its id, as `submit`. One that answers the open calls
-- goes before all that wait; the same answers under another id are the same turn. One that will not wait for their answers, or for
-- the turn at the head, is refused, closes the calls, stops that turn, or is merged with others.
-- WORK   36,000 steps: a mailbox is read three times
-- KEYS   turn:<id>… turns:<session> session:<session> mailbox:<session> due stats open held answered:<session> failed
--        events:<id> message_store:<session> conversation:<session> celery-task-meta-<id> webhook:<id> webhooks
--        undelivered steps:<thread> <queue> ready:<line>… rotation:<queue> batch_slots parked:<queue> slots:<tenant>
--        tenant:<tenant> tenants open_turns:<tenant> rate:<key> owned:<worker> conversations:<tenant>; channels
--        wake:<id> orders:<worker>
-- ARGV   id session queue question options stream reply fingerprint weight quotas answered when_held when_busy: `answered` is JSON,
--        [call, whether its answer is a decision (1 or 0)]…; `when_held` (queue, reject, close), while calls are open, and `when_busy`
--        (queue, reject, interrupt, rollback, or merge and a word for the kind of questions), while a turn runs, are for a turn that answers nothing
-- RETURN accepted place | again state place | same turn state | conflict | full_session | full_history | full
--        | over_quota name limit wait | held | busy | unfit reason call
local now = clock()

local seen, state, holder, its_queue, left = unpack(redis.call('HMGET', key.turn .. id, 'fingerprint', 'state', 'session', 'queue', 'stops'))
if seen and holder and is_erased(id, holder, state) then
  remove_turns({ id })
elseif seen then
  if seen ~= fingerprint then return { 'conflict' } end
  if left then stop_head(id, session, now, left) end
  return { 'again', state, find_place(id, session, state, its_queue, now) }
end
local calls, held, thread = open_calls(session, id)
if answered ~= '' then
  local fault, call = mismatch(calls, answered)
  local turn, its_state = same_answers(session, fingerprint)
  if fault and turn then return { 'same', turn, its_state } end
  if fault then return { 'unfit', fault, call } end
else
  if calls and when_held == 'reject' then return { 'held' } end
  if not calls and when_busy == 'reject' and is_busy(session, id) then return { 'busy' } end
  if redis.call('LLEN', key.mailbox .. session) >= rule.max_waiting_per_session then return { 'full_session' } end
  if history_full(session, 1) then return { 'full_history' } end
end
local open = redis.call('ZCARD', key.open)
if open >= rule.max_waiting then return { 'full' } end
local quota, most, wait = over_quota(session, quotas, open, now)
if quota then return { 'over_quota', quota, most, wait } end

if answered ~= '' then
  redis.call('SET', key.answered .. session, fingerprint .. ' ' .. id, 'PX', rule.result_ttl)
else
  if calls and when_held == 'close' then make_room(session, now) end
  held = nil
end
return { 'accepted', accept_turn(id, session, queue, question, options, stream, reply, fingerprint, weight, now, held, thread, when_busy) }
