-- Read all counters, with their labels, and what is there now: turns by phase, the longest wait of one that could run, dispatches on
-- their queues with those that are ready in lines, webhooks, and failed turns that can be retried.
-- FLAGS  no-writes
-- WORK   44,000 steps: 5,000 counters, 2,000 workers, and 500 tenants for each queue
-- KEYS   stats due open held failed webhooks undelivered workers owned:<worker>… session:<session>… turn:<id>… <queue> ready:<line>…
--        rotation:<queue>
-- ARGV   (none)
-- RETURN counters measures: two lists, (name count)…
return { redis.call('HGETALL', key.stats), measures(clock()) }
