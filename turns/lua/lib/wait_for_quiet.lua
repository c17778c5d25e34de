-- wait_for_quiet(session, now). Another question to be merged has come: a head that waits for more of them waits anew, though no longer
-- than ten such times in all. One that waits for its retry is left alone.
local function wait_for_quiet(session, now)
  local head, phase = unpack(redis.call('HMGET', key.session .. session, 'head', 'phase'))
  if phase ~= 'delayed' then return end
  local attempts, busy, created = unpack(redis.call('HMGET', key.turn .. head, 'attempts', 'busy', 'created'))
  if attempts ~= '0' or not (busy or ''):find('^merge ') then return end
  redis.call('ZADD', key.due, math.min(now + rule.quiet, created + 10 * rule.quiet), session)
end
