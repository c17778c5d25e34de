-- ask_turn(id, session, queue, question, options, outline, stream, reply, fingerprint, weight, quotas, answered, when_held, when_busy) → reply. Accept a
-- turn that does not wait for whatever its session is at, or refuse it, as the script `submit_held` says; idempotent by its id.
local function ask_turn(id, session, queue, question, options, outline, stream, reply, fingerprint, weight, quotas, answered, when_held, when_busy)
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
  local quota, most, wait = over_quota(session, quotas, open, now, #question + #options, outline ~= '' and outline or options)
  if quota then return { 'over_quota', quota, most, wait } end
  if answered ~= '' then
    redis.call('SET', key.answered .. session, fingerprint .. ' ' .. id, 'PX', rule.result_ttl)
  else
    if calls and when_held == 'close' then make_room(session, now) end
    held = nil
  end
  return { 'accepted', accept_turn(id, session, queue, question, options, outline, stream, reply, fingerprint, weight, now, held, thread, when_busy) }
end
