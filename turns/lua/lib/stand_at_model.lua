-- stand_at_model(id, tenant, session, queue, now) → go | moved | pass. A ready session is about to be dispatched. Where the model that its turn will call,
-- as others like it did, has no place in its budget, it stands in its tenant's line there instead, and tells so: no worker is asked in vain.
-- Where there is a place, it is noted that one is on its way to it. One that stands in such a line already is passed over.
local function stand_at_model(id, tenant, session, queue, now)
  local turn = key.turn .. id
  local model, requests, tokens, most = model_of(turn)
  if not model then return 'go' end
  local stream, sequence, attempts, spent, busy, waits_for = unpack(redis.call('HMGET', turn, 'stream', 'sequence', 'attempts', 'spent', 'busy', 'waits_for'))
  if waits_for then return 'pass' end
  if busy == 'interrupt' then return 'go' end
  local budget, coming, line = read_budget(model, requests, tokens, most), key.coming .. model, queue .. '@' .. model
  local wants = likely_tokens(budget, turn, tenant)
  local at = next_call(budget, tenant, now, wants, calls_to_come(model, now))
  if at <= now + rule.budget_ahead and not others_wait(budget, now, at) then
    redis.call('HSET', turn, 'sent_for', model)
    redis.call('ZADD', coming, now, id)
    redis.call('PEXPIRE', coming, rule.budget_ttl)
    return 'go'
  end
  next_look(model, tenant)
  local events = stream == '1' and append_event(id, 'waiting', attempts, model:match('^(.*)@') or model, sequence or 0)
  redis.call('HSET', turn, 'waits_for', model, 'wants', wants, 'waits_since', spent and '' or now,
    unpack(events and { 'sequence', events } or {}))
  if events then redis.call('PUBLISH', key.wake .. id, 'waiting') end
  -- Should the place be lost in a cut, the session is due, and gets it then.
  local _, served = unpack(redis.call('ZRANGE', key.rotation .. line, 0, 0, 'WITHSCORES'))
  redis.call('HSET', key.budget .. model, 'requests', budget.set[1], 'tokens', budget.set[2], 'most', budget.set[3])
  stand_in_line(line, session, id, attempts ~= '0' and now - 2 ^ 50 or now, tonumber(served or 0), call_units(budget, wants))
  keep_budget(budget, now)
  return 'moved'
end
