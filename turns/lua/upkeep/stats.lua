-- Read the counters, and how many turns are open.
-- FLAGS  no-writes
-- KEYS   stats open
-- ARGV   (none)
-- RETURN (name count)…
local counts = redis.call('HGETALL', key.stats)
-- Last, in the place of a number that an earlier version left among them.
counts[#counts + 1], counts[#counts + 2] = 'open', redis.call('ZCARD', key.open)
return counts
