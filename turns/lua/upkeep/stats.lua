-- Read the counters, how many turns are open, and how many sessions are held.
-- FLAGS  no-writes
-- WORK   200 steps
-- KEYS   stats open held
-- ARGV   (none)
-- RETURN (name count)…
local counts = redis.call('HGETALL', key.stats)
-- Last, in the place of a number that an earlier version left among them.
counts[#counts + 1], counts[#counts + 2] = 'open', redis.call('ZCARD', key.open)
counts[#counts + 1], counts[#counts + 2] = 'held', redis.call('ZCARD', key.held)
return counts
