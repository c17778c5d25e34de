-- Read the counters, how many turns are open, how many sessions are held, and how many are ready for each queue.
-- FLAGS  no-writes
-- WORK   145,000 steps: 5,000 counters, and 2,500 tenants for each queue
-- KEYS   stats open held session:<session>… ready:<line>… rotation:<queue> parked:<queue>
-- ARGV   (none)
-- RETURN (name count)…
local counts, now = redis.call('HGETALL', key.stats), clock()
-- Last, in the place of a number that an earlier version left among them.
counts[#counts + 1], counts[#counts + 2] = 'open', redis.call('ZCARD', key.open)
counts[#counts + 1], counts[#counts + 2] = 'held', redis.call('ZCARD', key.held)
for queue in rule.queues:gmatch('%S+') do
  counts[#counts + 1], counts[#counts + 2] = 'ready:' .. queue, (ready_on(queue, now, rule.tenants_seen))
end
return counts
