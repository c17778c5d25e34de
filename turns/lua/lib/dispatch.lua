-- dispatch(session, id, now, queue, known, counted). Put the head of a session, which is ready or was dispatched before, on its queue, whoever
-- waits there. `counted`: in a slot of its tenant.
local function dispatch(session, id, now, queue, known, counted)
  local sent = number_dispatch(session, id, now, queue, known, counted)
  redis.call('HINCRBY', key.turn .. id, 'dispatches', 1)
  send_dispatch(session, id, queue, sent)
end
