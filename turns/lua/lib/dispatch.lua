-- dispatch(session, id, now, queue, counted). Put an accepted turn at the head of its session, and its dispatch on its queue, whoever waits
-- there. `counted`: in a slot of its tenant.
local function dispatch(session, id, now, queue, counted)
  local sent = take_head(session, id, now, queue, true, counted)
  redis.call('HDEL', key.session .. session, 'owner', 'lease', 'worker', 'reaped')
  redis.call('HINCRBY', key.turn .. id, 'dispatches', 1)
  send_dispatch(session, id, queue, sent)
end
