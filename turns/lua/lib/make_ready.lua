-- make_ready(session, id, now, queue, first). Put an accepted turn at the head of its session; it may run, and goes as soon as its
-- tenant's turn has come. `first`: it has been at work, and goes before all of its tenant that have not.
local function make_ready(session, id, now, queue, first)
  local sent = take_head(session, id, now, queue)
  redis.call('HDEL', key.session .. session, 'owner', 'lease', 'worker', 'reaped')
  if sent > 0 then redis.call('HINCRBY', key.turn .. id, 'dispatches', 1) end
  set_off(session, id, queue, sent, now, first)
end
