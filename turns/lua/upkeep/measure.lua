-- Read all counters, with their labels, and what is there now: turns by phase, the longest wait of one that could run, dispatches on
-- their queues with those that are ready in lines, webhooks, and failed turns that can be retried. And the waits for models, those first for
-- which turns wait.
-- FLAGS  no-writes
-- WORK   60,000 steps: 5,000 counters, 2,000 workers, 500 tenants for each queue, and 50 for each of 20 models
-- KEYS   stats due open held failed webhooks undelivered workers owned:<worker>… session:<session>… turn:<id>… <queue> ready:<line>…
--        rotation:<queue> budgets
-- ARGV   (none)
-- RETURN counters measures waits: lists, (name count)…, and (model waiting longest)… in ms
local now, waits = clock(), {}
for place, model in ipairs(redis.call('ZRANGE', key.budgets, 0, 19)) do waits[place] = { model, waits_at(model, now) } end
return { redis.call('HGETALL', key.stats), measures(now), waits }
