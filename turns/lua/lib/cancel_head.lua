-- cancel_head(id, session, now, queue, fields). Cancel the turn at the head of its session: it is fenced, its worker is told, and the
-- session moves on. The calls that it was to answer are closed.
local function cancel_head(id, session, now, queue, fields)
  local worker, held, phase, slot = unpack(redis.call('HMGET', key.session .. session, 'worker', 'held', 'phase', 'slot'))
  end_turn(id, session, now, 'cancelled', fields, {})
  local waits_for = redis.call('HGET', key.turn .. id, 'waits_for')
  if phase == 'ready' then leave_line(session, waits_for and queue .. '@' .. waits_for or queue) end
  if worker then
    redis.call('PUBLISH', key.orders .. worker, id)
    redis.call('SREM', key.owned .. worker, session)
  end
  leave_slot(session, slot, now)
  go_on(session, id, now, 'cancelled', held)
end
