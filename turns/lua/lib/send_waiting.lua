-- send_waiting(model, now). Dispatch turns that wait for a model's budget, each for a slot that is kept for it: slots of the next
-- moment, so that none is lost on the way. While workers are late to take what was sent, nothing more is.
local function send_waiting(model, now)
  local chat, batch = 'chat@' .. model, 'batch@' .. model
  if redis.call('EXISTS', key.rotation .. chat, key.rotation .. batch) == 0 then return end
  redis.call('ZADD', key.budgets, 'NX', now, model)
  local budget, promised = read_budget(model), key.promised .. model
  local oldest, sent = unpack(redis.call('ZRANGE', promised, 0, 0, 'WITHSCORES'))
  if oldest and sent + rule.budget_lost < now then
    redis.call('ZREM', promised, oldest)
  elseif oldest and sent + rule.budget_late < now then
    -- A turn that was cancelled on its way holds nobody up.
    if redis.call('HGET', key.turn .. oldest, 'state') == 'queued' then return end
    redis.call('ZREM', promised, oldest)
  end
  local function take(id)
    local waits_for, wants, since, started = unpack(redis.call('HMGET', key.turn .. id, 'waits_for', 'wants', 'waits_since', 'started'))
    if waits_for ~= model then return 'pass' end
    local at = next_call(budget, now)
    if at > now + rule.budget_ahead then return 'stop' end
    redis.call('ZADD', promised, at, id)
    redis.call('PEXPIRE', promised, rule.budget_ttl)
    spend_call(budget, at, tonumber(wants))
    -- The time that it waited does not count against its deadline, unless calls had been made for it.
    since = tonumber(since or nil) or now
    redis.call('HSET', key.turn .. id, 'started', math.min(now, (started or now) + math.max(0, now - since)), 'waits_since', now)
    redis.call('HDEL', key.turn .. id, 'waits_for', 'wants')
    return 'go'
  end
  -- A tenant whose turns have all slots that they may is left where it stands.
  local function serve(queue, most)
    local known, count, skipped = read_queue(queue, math.huge), 0, 0
    for _ = 1, 20 do
      local tenant, time = unpack(count < math.min(most, known.room) and redis.call('ZRANGE', key.rotation .. queue .. '@' .. model, skipped, skipped, 'WITHSCORES') or {})
      if not tenant then break end
      local counts = known.counted or tenant ~= ''
      if counts and slots_left(tenant, known.slots, now) <= 0 then
        skipped = skipped + 1
      else
        local sent = send_next(tenant, queue, time, nil, now, known, counts, model, take)
        if not sent then break end
        count = count + sent
      end
    end
    return count
  end
  -- Of five that go, one is of the batches while both wait.
  local owed = budget.chats >= 4 and serve('batch', 1) or 0
  local chats = serve('chat', 20)
  local batches = owed + serve('batch', 20 - owed)
  if budget.kept and chats + batches > 0 then
    redis.call('HSET', key.budget .. model, 'chats', batches > 0 and 0 or math.min(4, budget.chats + chats))
  end
end
