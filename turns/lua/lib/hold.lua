-- hold(session, id, now, calls, closing, thread). Turn `id` has open calls: nothing else of its session runs before they are answered,
-- or the time for that is over; its steps are there for longer. The sweep looks at it now and then, so no due entry is further off
-- than a clock can be trusted.
local function hold(session, id, now, calls, closing, thread)
  local session_key = key.session .. session
  redis.call('ZADD', key.due, now + math.min(rule.hold, rule.repair), session)
  redis.call('HDEL', session_key, 'owner', 'worker', 'reaped')
  redis.call('HSET', session_key, 'head', id, 'phase', 'held', 'held', id, 'calls', calls, 'closing', closing, 'thread', thread,
    'lease', now + rule.hold)
  redis.call('ZADD', key.held, now, session)
  redis.call('PEXPIRE', key.steps .. thread, rule.hold + rule.steps_ttl, 'GT')
  for _, name in ipairs({ key.turn .. id, key.turn .. thread, key.turns .. session }) do redis.call('PEXPIRE', name, rule.hold + rule.result_ttl, 'GT') end
end
