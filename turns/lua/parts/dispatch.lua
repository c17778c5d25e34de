-- dispatch(session, id, now). Put the turn's dispatch on its queue, and make the session due for a second look, later the
-- more dispatches stand before it: a long queue is no reason to send a turn again.
local function dispatch(session, id, now)
  local home, turn = key.session .. session, key.turn .. id
  local queue = redis.call('HGET', turn, 'queue')
  local sent = redis.call('HINCRBY', key.stats, 'sent:' .. queue, 1)
  local names = { id = id, session = session, queue = queue, tag = id .. '-' .. sent }
  if rule.show_content == 1 then
    -- The question is JSON already; as part of a string in the message it is escaped once more.
    names.question = cjson.encode(redis.call('HGET', turn, 'question')):sub(2, -2)
  end
  redis.call('LPUSH', key.queue .. queue, (rule.envelope:gsub('@(%l+)@', names)))
  redis.call('HSET', home, 'head', id, 'phase', 'dispatched', 'sent', sent)
  redis.call('HDEL', home, 'owner', 'lease', 'worker')
  redis.call('HINCRBY', turn, 'dispatches', 1)
  redis.call('ZADD', key.due, now + rule.grace + ahead(queue, sent) * rule.pace, session)
end
