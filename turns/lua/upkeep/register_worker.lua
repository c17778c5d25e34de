-- Register a worker, or say that it is still there. Refused, and not registered any more, while one that came before it works with
-- another value of a setting that all must share; a setting that the other does not tell of is none.
-- FLAGS  allow-oom
-- WORK   16,000 steps: 2,000 workers
-- KEYS   workers stats; channel orders:<worker>
-- ARGV   worker facts started alike (names values)…: names and values of settings; `alike` stands in the facts of those that need not be compared
-- RETURN registered | refused worker facts
local others, slots = live_workers(clock(), math.huge, alike)
for _, other in ipairs(others) do
  local theirs = type(other.facts.settings) == 'table' and other.facts.settings or {}
  local elder = other.name ~= worker and (tonumber(other.facts.started) or 0) <= tonumber(started)
  for i, name in ipairs(names) do
    local value = theirs[name]
    if elder and value and value ~= values[i] then
      redis.call('HDEL', key.workers, worker)
      return { 'refused', other.name, other.text }
    end
  end
end
local is_new = redis.call('HSET', key.workers, worker, facts) == 1
if is_new then
  slots = slots + slots_of(facts)
  -- One that comes may have other models and budgets.
  redis.call('HDEL', key.stats, 'budgeted')
end
-- So many dispatches stand on a queue while no slot is free: few enough that order among tenants is decided late.
redis.call('HSET', key.stats, 'slots', slots, 'standing', math.max(1, math.floor(slots / 16)))
return { 'registered' }
