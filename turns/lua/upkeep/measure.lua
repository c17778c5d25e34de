-- Read all counters, with their labels, and what is there now: turns by phase, the longest wait of one that lacks nothing but a slot,
-- dispatches on their queues with those that are ready in lines, webhooks, and failed turns that can be retried. And the waits for models, those
-- first for which turns wait.
-- FLAGS  no-writes
-- WORK   235,000 steps: 5,000 counters, 2,000 workers, 2,500 tenants for each queue, and 1,000 for 20 models, or 50 for each
-- KEYS   stats due open held failed webhooks undelivered workers owned:<worker>… session:<session>… turn:<id>… <queue> ready:<line>…
--        rotation:<queue> parked:<queue> budgets
-- ARGV   (none)
-- RETURN counters measures waits: lists, (name count)…, and (model waiting longest)… in ms
local now, waits, left = clock(), {}, 1000
for place, model in ipairs(redis.call('ZRANGE', key.budgets, 0, 19)) do
  local count, longest
  count, longest, left = waits_at(model, now, left)
  waits[place] = { model, count, longest }
end
return { redis.call('HGETALL', key.stats), measures(now), waits }
