-- The model's server answers turns of a kind again: those that were put off because it was away are due now, at most `limit`, the next to go
-- first. One that waits for another reason stays where it is.
-- FLAGS  allow-oom
-- WORK   10 steps, and 30 for each of limit
-- KEYS   outage:<kind> turn:<id>… session:<session>… due
-- ARGV   kind limit
-- RETURN left: how many more are noted
local now, put_off = clock(), key.outage .. kind
local noted = redis.call('ZRANGE', put_off, 0, limit - 1, 'WITHSCORES')
for place = 1, #noted, 2 do
  local id, ends = noted[place], noted[place + 1]
  local session = redis.pcall('HGET', key.turn .. id, 'session')
  session = type(session) == 'string' and session or ''
  local head, phase = unpack(redis.pcall('HMGET', key.session .. session, 'head', 'phase'))
  if head == id and phase == 'delayed' and redis.call('ZSCORE', key.due, session) == ends then
    redis.call('ZADD', key.due, 'LT', now, session)
  end
  redis.call('ZREM', put_off, id)
end
return redis.call('ZCARD', put_off)
