-- Accept a turn that follows another one: in the same session as long as nothing else follows there, else in a new one,
-- `branch`, with a window of the history up to that other turn, and its open calls answered or closed. Idempotent by its id. One that was
-- merged with another is followed as that one.
-- WORK   24,000 steps: a mailbox is read twice, or a branch takes 100 messages along; the search for its place reads two messages, or 32 MiB and one
-- KEYS   turn:<id>… turns:<session> session:<session> mailbox:<session> message_store:<session> conversation:<session> due stats open held answered:<session>
--        failed events:<id> celery-task-meta-<id> webhook:<id> webhooks webhook_lines webhook_line:<key> webhooks_of:<key> undelivered steps:<thread> <queue>
--        ready:<line>… rotation:<queue> batch_slots parked:<queue> slots:<tenant> tenant:<tenant> tenants open_turns:<tenant> open_bytes:<tenant> rate:<key> owned:<worker>
--        conversations:<tenant> budget:<model> calls:<model> promised:<model> coming:<model> first_call:<kind> budgets looks workers; channels wake:<id> orders:<worker>
-- ARGV   id previous branch queue question options outline stream reply fingerprint weight quotas answered when_held when_busy: the last three as `submit_held` has them
-- RETURN accepted place session | again state place session | same turn state session | conflict | unknown | unended | unplaced
--        | full_session | full_history | full | over_quota name limit wait | held | busy | unfit reason call
local now = clock()
local seen, state, stands_in, its_queue, left = unpack(redis.call('HMGET', key.turn .. id, 'fingerprint', 'state', 'session', 'queue', 'stops'))
if seen and stands_in and is_erased(id, stands_in, state) then
  remove_turns({ id })
elseif seen then
  if seen ~= fingerprint then return { 'conflict' } end
  if left then stop_head(id, stands_in, now, left) end
  return { 'again', state, find_place(id, stands_in, state, its_queue, now), stands_in }
end
local session, ended, length, its_state, its_calls, closing, first = read_previous(previous)
if not session or is_erased(previous, session, its_state) then return { 'unknown' } end
local last = redis.call('LINDEX', key.mailbox .. session, -1) or redis.call('HGET', key.session .. session, 'head')
if last == id then last = first end
if last and last ~= first and not ended then return { 'unended' } end
local calls, held, thread = open_calls(session, id)
if held ~= first then calls, held = false, nil end
if answered ~= '' then
  local fault, call = mismatch(calls or its_calls, answered, not calls)
  local turn, turn_state = same_answers(session, fingerprint)
  if turn and not calls then return { 'same', turn, turn_state, session } end
  if fault then return { 'unfit', fault, call } end
elseif calls and last == first and when_held == 'reject' then
  return { 'held' }
end
if answered == '' and redis.call('LLEN', key.mailbox .. session) >= rule.max_waiting_per_session then return { 'full_session' } end
local open = redis.call('ZCARD', key.open)
if open >= rule.max_waiting then return { 'full' } end
local quota, most, wait = over_quota(session, quotas, open, now, #question + #options, outline ~= '' and outline or options)
if quota then return { 'over_quota', quota, most, wait } end
local elsewhere, added = answered ~= '' and not calls, not ended and 0 or messages_since(key.history .. session, first, ended, length)
if not added then return { 'unplaced' } end
if elsewhere or answered == '' and (added > closed_since(key.history .. session, added, closing) or (last and last ~= first)) then
  local full = open_branch(branch, id, session, added, now, quotas)
  if full then return { 'over_quota', 'conversations', full, rule.day } end
  session, held = branch, nil
  if elsewhere then
    held, thread = previous, id
    hold(session, held, now, its_calls, closing, thread)
  elseif closing and redis.call('EXISTS', key.history .. branch) == 1 then
    append_history(branch, parts_of(closing), true)
  end
elseif answered == '' then
  if history_full(session, 1) then return { 'full_history' } end
  if not calls and when_busy == 'reject' and is_busy(session, id) then return { 'busy' } end
  if calls and when_held == 'close' then make_room(session, now) end
  held = nil
end
if held then redis.call('SET', key.answered .. session, fingerprint .. ' ' .. id, 'PX', rule.result_ttl) end
return { 'accepted', accept_turn(id, session, queue, question, options, outline, stream, reply, fingerprint, weight, now, held, thread, when_busy), session }
