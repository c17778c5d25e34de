-- make_ready(session, id, now, queue, first, slot). Put an accepted turn at the head of its session; it may run, and goes as soon as its
-- tenant's turn has come. `first`: it has been at work, perhaps in a `slot`, and goes before all of its tenant that have not.
local function make_ready(session, id, now, queue, first, slot)
  free_slot(session, slot)
  local sent, known = take_head(session, id, now, queue)
  redis.call('HDEL', key.session .. session, 'owner', 'lease', 'worker', 'reaped')
  if sent > 0 then redis.call('HINCRBY', key.turn .. id, 'dispatches', 1) end
  set_off(session, id, queue, now, sent, known, first)
  bring_back(session, slot, now)
end
