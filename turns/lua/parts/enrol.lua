-- enrol(id, session, queue, question, options, stream, reply, fingerprint, now) → place. Write a new turn's record, and
-- enqueue the turn.
local function enrol(id, session, queue, question, options, stream, reply, fingerprint, now)
  local turns = key.turns .. session
  redis.call('HSET', key.turn .. id, 'session', session, 'queue', queue, 'question', question, 'options', options,
    'stream', stream, 'reply', reply, 'fingerprint', fingerprint, 'state', 'queued', 'created', now, 'attempts', 0, 'forgiven', 0)
  -- An id whose record has expired begins anew: its old events would end where the new ones begin.
  redis.call('DEL', key.events .. id)
  redis.call('ZADD', turns, now, id)
  redis.call('ZREMRANGEBYSCORE', turns, '-inf', now - rule.failed_ttl)
  redis.call('PEXPIRE', turns, rule.failed_ttl)
  redis.call('HINCRBY', key.stats, 'accepted', 1)
  redis.call('HINCRBY', key.stats, 'open', 1)
  local place = enqueue(session, id, now)
  redis.call('HSET', key.turn .. id, 'place', place)
  return place
end
