-- settle(id, session, now, state, fields). Write a turn's end: record, counters, final event, time to live, webhook, and the
-- result that a plain Celery app waits for. `fields` holds what else goes into the record (answer, usage, model, code, message).
local function settle(id, session, now, state, fields)
  local turn = key.turn .. id
  for name, value in pairs(fields) do redis.call('HSET', turn, name, value) end
  redis.call('HSET', turn, 'state', state, 'finished', now)
  local known = redis.call('HMGET', turn, 'reply', 'attempts')
  note(id, 'ended', known[2], state)
  local ttl = state == 'failed' and rule.failed_ttl or rule.result_ttl
  redis.call('PEXPIRE', turn, ttl)
  redis.call('PEXPIRE', key.events .. id, math.min(rule.events_ttl, ttl))
  redis.call('ZADD', key.turns .. session, now, id)
  redis.call('PEXPIRE', key.turns .. session, rule.failed_ttl)
  redis.call('HINCRBY', key.stats, state, 1)
  redis.call('HINCRBY', key.stats, 'open', -1)
  if state == 'failed' then
    redis.call('ZADD', key.failed, now, id)
    redis.call('ZREMRANGEBYSCORE', key.failed, '-inf', now - rule.failed_ttl)
  end
  if known[1] == '1' then redis.call('SET', key.celery_result .. id, reply(id, state, fields), 'PX', rule.result_ttl) end
  announce(id, now, state)
end
