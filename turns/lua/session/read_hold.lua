-- Read the open calls of a held session: the turn that has them, until when they wait (ms), and that turn's output.
-- FLAGS  no-writes
-- WORK   30 steps
-- KEYS   session:<session> turn:<id>
-- ARGV   session
-- RETURN turn until output | nothing for a session that is not held
local phase, held, ends = unpack(redis.call('HMGET', key.session .. session, 'phase', 'held', 'lease'))
if phase ~= 'held' then return {} end
return { held, ends, redis.call('HGET', key.turn .. held, 'output') or '[]' }
