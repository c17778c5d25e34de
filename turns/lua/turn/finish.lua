-- End a turn: record, history, final event, counters, and the release of the next turn, all in one; only the owner may.
-- A repeat by the same owner gets the first outcome again, and completes what was cut short.
-- FLAGS  allow-oom
-- WORK   3,500 steps, and 1,010 for each of elements: those of an end that was cut short are looked for
-- KEYS   turn:<id> turns:<session> session:<session> mailbox:<session> owned:<worker> due stats failed open events:<id>
--        message_store:<session> conversation:<session> celery-task-meta-<id> webhook:<id> webhooks webhook_lines
--        webhook_line:<key> webhooks_of:<key> undelivered held <queue> ready:<line>… rotation:<queue> steps:<thread>
--        batch_slots parked:<queue> slots:<tenant> tenant:<tenant> tenants open_turns:<tenant> open_bytes:<tenant> budget:<model> calls:<model>
--        promised:<model> coming:<model> first_call:<kind> budgets looks workers; channel wake:<id>
-- ARGV   id token state answer output usage model code message detail left_out after text calls closing queue chain fallback model_calls tokens_in tokens_out cost steps
--        elements…: `calls` that stay open hold the session, and `closing` is kept for them; the last eight are counted
-- RETURN finished state | replay state | superseded | unreadable
local now = clock()
local session, stands, closed, sequence, attempts, reply, options, thread, started, members =
  unpack(redis.call('HMGET', key.turn .. id, 'session', 'state', 'closed', 'sequence', 'attempts', 'reply', 'options', 'thread', 'started', 'members'))
if not session then return { 'superseded' } end
if closed == token and not is_erased(id, session, stands) then
  complete_and_release(id, session, now)
  return { 'replay', stands }
end
local head, owner, worker, held, slot = unpack(redis.call('HMGET', key.session .. session, 'head', 'owner', 'worker', 'held', 'slot'))
if stands ~= 'running' or head ~= id or owner ~= token then
  -- The model has been paid all the same.
  if redis.call('HGET', key.turn .. id, 'fenced') ~= token then
    redis.call('HSET', key.turn .. id, 'fenced', token)
    redis.call('HINCRBY', key.stats, 'fenced', 1)
    count_usage(model, model_calls, tokens_in, tokens_out, cost)
    count_spend(session, nil, tokens_in + tokens_out, cost, 1, now)
  end
  return { 'superseded' }
end
local length = #elements > 0 and history_length(session)
if #elements > 0 and not length then return { 'unreadable' } end

local fields = { closed = token, history_length = length and length + #elements or nil }
if answer ~= '' then fields.answer = answer end
if output ~= '' then fields.output = output end
if usage ~= '' then fields.usage = usage end
if model ~= '' then fields.model = model end
if code ~= '' then fields.code, fields.message = code, message end
if detail ~= '' then fields.detail = detail end
if left_out ~= '' then fields.left_out = left_out end
if fallback ~= '' then fields.fallback = fallback end
if calls ~= '' then fields.calls, fields.closing = calls, closing end
local rest = text ~= '' and (sequence or '0') == after and text or nil
end_turn(id, session, now, state, fields, elements, rest, { sequence, attempts, reply, options, thread, started, queue, members, chain,
  (rest or sequence ~= '0') and first_text(id, rest and now) or nil })
redis.call('SREM', key.owned .. worker, session)
leave_slot(session, slot, now)
count_spend(session, slot, tokens_in + tokens_out, cost, 1, now, true)
go_on(session, id, now, state, held, fields.calls, closing, thread)
count_usage(model, model_calls, tokens_in, tokens_out, cost)
if steps ~= '0' then count_steps(chain, steps) end
if fallback ~= '' then redis.call('HINCRBY', key.stats, 'fallbacks{reason="' .. fallback .. '"}', 1) end
return { 'finished', state }
