-- send_waiting(model, now). Dispatch turns that wait for a model's budget, each for a slot that is kept for it: slots of the next
-- moment, so that none is lost on the way. While workers are late to take what was sent, nothing more is. A turn that has waited long
-- enough may go for a slot of another model.
local function send_waiting(model, now)
  local chat, batch = 'chat@' .. model, 'batch@' .. model
  if redis.call('EXISTS', key.rotation .. chat, key.rotation .. batch) == 0 then return end
  -- Whoever looks at budgets finds those first for which somebody waits.
  next_look(model)
  local own, full, coming = read_budget(model), {}, calls_to_come(model, now)
  if slots_late(model, now) then return end
  local function take(id, tenant)
    local turn = key.turn .. id
    local waits_for, wants, since, started, others, others_from, passed_over =
      unpack(redis.call('HMGET', turn, 'waits_for', 'wants', 'waits_since', 'started', 'others', 'others_from', 'passed_over'))
    if waits_for ~= model then return 'pass' end
    wants = tonumber(wants or 0)
    local budget, at = own, next_call(own, tenant, now, wants, coming)
    if at > now + rule.budget_ahead then budget, at = place_elsewhere(others, others_from, tenant, now, wants, full) end
    if not budget then return 'stop' end
    if budget == own or budget.kept then
      redis.call('ZADD', key.promised .. budget.model, at, id)
      redis.call('PEXPIRE', key.promised .. budget.model, rule.budget_ttl)
      spend_call(budget, tenant, at, wants)
    end
    -- The time that it waited does not count against its deadline, unless calls had been made for it.
    since = tonumber(since or nil) or now
    redis.call('HSET', turn, 'waits_since', now, 'sent_for', budget.model, unpack(budget ~= own and { 'passed_over', model } or {}))
    if started then redis.call('HSET', turn, 'started', math.min(now, started + math.max(0, now - since))) end
    redis.call('HDEL', turn, 'waits_for', unpack(others and { 'others', 'others_from' } or {}))
    if passed_over and budget == own then redis.call('HDEL', turn, 'passed_over') end
    return 'go', call_units(own, wants)
  end
  -- A tenant whose turns have all slots or calls that they may, or for which alone the model is paused, is left where it stands, and so is
  -- one whose next call is to wait for what a large one has taken: smaller calls of others are not.
  local function serve(queue, most)
    local known, count, skipped = read_queue(queue, math.huge), 0, 0
    for _ = 1, 20 do
      local tenant, time = unpack(count < math.min(most, known.room) and redis.call('ZRANGE', key.rotation .. queue .. '@' .. model, skipped, skipped, 'WITHSCORES') or {})
      if not tenant then break end
      local counts = known.counted or tenant ~= ''
      if counts and slots_left(tenant, known.slots, now) <= 0 or calls_left(own, tenant, now) <= 0 then
        skipped = skipped + 1
      else
        local sent = send_next(tenant, queue, time, nil, now, known, counts, model, take)
        if not sent and pause_of(own, tenant) <= own.paused and own.owed_until <= now + rule.budget_burst then break end
        skipped, count = skipped + (sent and 0 or 1), count + (sent or 0)
        if own.by_tenant then own.by_tenant[tenant] = (own.by_tenant[tenant] or 0) + (sent or 0) end
      end
    end
    return count
  end
  -- Of five that go, one is of the batches while both wait.
  local owed = own.chats >= 4 and serve('batch', 1) or 0
  local chats = serve('chat', 20)
  local batches = owed + serve('batch', 20 - owed)
  if own.kept and chats + batches > 0 then
    redis.call('HSET', key.budget .. model, 'chats', batches > 0 and 0 or math.min(4, own.chats + chats))
  end
  if own.kept then keep_budget(own, now) end
end
