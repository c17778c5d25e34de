-- wait_for_model(session, id, queue, model, now, first, slot). The head of a session waits until there is a place in a model's budget: it
-- is ready, in its tenant's line there. `first`: it has been at work, perhaps in a `slot`, and goes before all of its tenant that have
-- not.
local function wait_for_model(session, id, queue, model, now, first, slot)
  local line = queue .. '@' .. model
  free_slot(session, slot)
  redis.call('ZADD', key.due, now + rule.grace + redis.call('ZCARD', key.due) * rule.pace, session)
  redis.call('HSET', key.session .. session, 'phase', 'ready', 'sent', 0, 'since', now)
  redis.call('HDEL', key.session .. session, 'owner', 'lease', 'worker', 'reaped')
  local _, served = unpack(redis.call('ZRANGE', key.rotation .. line, 0, 0, 'WITHSCORES'))
  local units = call_units(read_budget(model), tonumber(redis.call('HGET', key.turn .. id, 'wants') or 0))
  stand_in_line(line, session, id, first and now - 2 ^ 50 or now, tonumber(served or 0), units)
  bring_back(session, slot, now)
  send_waiting(model, now)
end
