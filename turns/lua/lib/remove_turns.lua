-- remove_turns(ids, session). Remove turns with all that belongs to them, and tell their readers; those that are open count as cancelled.
-- The records go first: a turn without one never runs. `session` may be nil, where they are no longer counted as unfinished.
local function remove_turns(ids, session)
  for first = 1, #ids, 1000 do
    local some, records, others = { unpack(ids, first, math.min(first + 999, #ids)) }, {}, {}
    local found, cancelled, waited_for = {}, 0, {}
    for _, id in ipairs(some) do
      local turn = redis.pcall('HMGET', key.turn .. id, 'state', 'reply')
      if turn[1] then found[#found + 1] = id end
      local is_open = turn[1] == 'queued' or turn[1] == 'running'
      if is_open then cancelled = cancelled + 1 end
      if is_open and turn[2] == '1' then waited_for[#waited_for + 1] = id end
      records[#records + 1] = key.turn .. id
      for _, name in ipairs({ key.events .. id, key.celery_result .. id, key.steps .. id }) do
        others[#others + 1] = name
      end
    end
    if session then drop_unfinished(tenant_of(session), some) end
    redis.call('UNLINK', unpack(records))
    if cancelled > 0 then redis.call('HINCRBY', key.stats, 'cancelled', cancelled) end
    for _, id in ipairs(waited_for) do celery_result(id, 'cancelled', {}) end
    redis.call('UNLINK', unpack(others))
    drop_webhooks(some)
    for _, set in ipairs({ key.open, key.failed }) do redis.call('ZREM', set, unpack(some)) end
    for _, id in ipairs(found) do redis.call('PUBLISH', key.wake .. id, 'erased') end
  end
end
