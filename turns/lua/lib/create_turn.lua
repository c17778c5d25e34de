-- create_turn(id, session, queue, question, options, outline, stream, reply, fingerprint, weight, now, held, thread, noted, wait) → place. Accept a turn: its place comes
-- first, which means nothing without the record; with the record it is accepted, and runs even should nothing follow. With `held` it
-- answers the open calls of that turn, in the same `thread`, and goes before all that wait. `outline`: the options
-- without messages, where that is much less; it is noted, even if empty, where what is asked is large. `noted`: fields that its policy notes, and their values; `wait` as `enqueue` has it.
local function create_turn(id, session, queue, question, options, outline, stream, reply, fingerprint, weight, now, held, thread, noted, wait)
  local turns, more = key.turns .. session, held and { 'answers', held, 'thread', thread } or {}
  if outline ~= '' or #question > rule.most_looked_at then more[#more + 1], more[#more + 2] = 'outline', outline end
  if weight ~= '' then more[#more + 1], more[#more + 2] = 'weight', weight end
  if noted then
    for _, word in ipairs(noted) do more[#more + 1] = word end
  end
  local place, sent, known = enqueue(session, id, now, queue, held, wait)
  -- An id whose record has expired begins anew: its old events would end where the new ones begin.
  redis.call('UNLINK', key.events .. id)
  redis.call('HSET', key.turn .. id, 'session', session, 'queue', queue, 'question', question, 'options', options,
    'stream', stream, 'reply', reply, 'fingerprint', fingerprint, 'state', 'queued', 'created', now, 'attempts', 0, 'forgiven', 0,
    'place', place, 'dispatches', sent and math.min(sent, 1) or 0, unpack(more))
  redis.call('ZADD', key.open, now, id)
  count_unfinished(session, id, now, #question + #options)
  redis.call('ZADD', turns, now, id)
  -- Others may keep records for longer than this process would; as long as one is there, its session can be erased by this list.
  for _, old in ipairs(redis.call('ZRANGEBYSCORE', turns, '-inf', now - rule.failed_ttl, 'LIMIT', 0, 100)) do
    if redis.call('EXISTS', key.turn .. old) == 0 then redis.call('ZREM', turns, old) end
  end
  if redis.call('PEXPIRE', turns, rule.failed_ttl, 'GT') == 0 then redis.call('PEXPIRE', turns, rule.failed_ttl, 'NX') end
  redis.call('HINCRBY', key.stats, 'accepted{queue="' .. queue .. '"}', 1)
  if sent then set_off(session, id, queue, now, sent, known) end
  return place
end
