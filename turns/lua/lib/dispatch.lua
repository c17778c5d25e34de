-- dispatch(session, id, now, queue). Put an accepted turn at the head of its session, and its dispatch on its queue, whoever waits there.
local function dispatch(session, id, now, queue)
  local sent = take_head(session, id, now, queue, true)
  redis.call('HDEL', key.session .. session, 'owner', 'lease', 'worker', 'reaped')
  redis.call('HINCRBY', key.turn .. id, 'dispatches', 1)
  send_dispatch(session, id, queue, sent)
end
