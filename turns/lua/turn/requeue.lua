-- Give a running turn back: to be tried again after a delay, or at once at another worker; only the owner may. The turn
-- stays at the head of its session. A forgiven attempt does not count against the turn's chances. One that lacks a place in the budget
-- of a model waits for it in its tenant's line there, and tells so.
-- FLAGS  allow-oom
-- WORK   8,000 steps: 60 sessions that are ready, or wait for a model
-- KEYS   turn:<id>… session:<session>… owned:<worker>… due stats events:<id> <queue>… ready:<line>… rotation:<queue>…
--        budget:<model> calls:<model> promised:<model> budgets looks batch_slots parked:<queue> slots:<tenant> tenant:<tenant>
--        tenants coming:<model> first_call:<kind> outage:<kind> workers; channel wake:<id>
-- ARGV   id token delay forgive code model_calls model tokens begun others patience away: why it is given back, and calls of models that the attempt has made; the
--        model that it waits for, or empty, the tokens that it wants, and 1 when calls were made for it: then its wait counts against
--        its deadline; and other models, of which it takes a place when it has waited so many ms. `away`: the kind of
--        turns, `chain model` as asked, that wait for its model's server to be back
-- RETURN requeued | replay | superseded
local turn, now = key.turn .. id, clock()
local session, returned_by, state, forgiven, queue, stream, sequence, attempts, busy, sent_for, wants = unpack(redis.call('HMGET', turn,
  'session', 'returned', 'state', 'forgiven', 'queue', 'stream', 'sequence', 'attempts', 'busy', 'sent_for', 'wants'))
if not session then return { 'superseded' } end
local session_key = key.session .. session
local owner, worker, head, phase, slot = unpack(redis.call('HMGET', session_key, 'owner', 'worker', 'head', 'phase', 'slot'))
local returned, owned = returned_by == token, owner == token and head == id and phase == 'running'
if returned and not (owned and state == 'queued') then return { 'replay' } end
if not returned and not (owned and state == 'running') then return { 'superseded' } end

-- One that is to be ended with what it has said does not wait for a model any more.
if busy == 'interrupt' then model = '' end
if not returned then
  local waits = {}
  if model ~= '' then
    waits = { 'waits_for', model, 'wants', tokens, 'waits_since', begun ~= '1' and now or '',
      unpack(others ~= '' and { 'others', others, 'others_from', now + patience } or {}) }
    local told = stream == '1' and append_event(id, 'waiting', attempts, model:match('^(.*)@') or model, sequence or 0)
    if told then waits[#waits + 1], waits[#waits + 2] = 'sequence', told end
  end
  redis.call('HSET', turn, 'state', 'queued', 'returned', token, 'forgiven', forgiven + (forgive == '1' and 1 or 0), unpack(waits))
  redis.call('HINCRBY', key.stats, 'requeued{code="' .. code .. '"}', 1)
  count_usage('', model_calls, '0', '0', '0')
end
redis.call('SREM', key.owned .. worker, session)
-- It does not call the model now to which it was sent.
if sent_for then redis.call('ZREM', key.coming .. sent_for, id) end
local has_slot = sent_for and return_promise(read_budget(sent_for), id, tenant_of(session), tonumber(wants or 0), now)
if model ~= '' then
  if stream == '1' then redis.call('PUBLISH', key.wake .. id, 'waiting') end
  wait_for_model(session, id, queue, model, now, begun == '1', slot)
elseif tonumber(delay) > 0 then
  redis.call('ZADD', key.due, now + delay, session)
  free_slot(session, slot)
  redis.call('HSET', session_key, 'phase', 'delayed')
  redis.call('HDEL', session_key, 'owner', 'lease', 'worker')
  if away ~= '' then note_outage(away, id, now, now + delay) end
  bring_back(session, slot, now)
else
  make_ready(session, id, now, queue, true, slot)
end
if has_slot then send_waiting(sent_for, now) end
return { 'requeued' }
