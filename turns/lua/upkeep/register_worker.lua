-- Put a worker on the roll, or say that it is still there. Refused, and off the roll, while one that came before it works with
-- another value of a setting that all must share; a setting that the other does not tell of is none.
-- FLAGS  allow-oom
-- KEYS   workers; channel orders:<worker>
-- ARGV   worker facts started alike (setting value)…: `alike` stands in the facts of those that need not be compared
-- RETURN enlisted | refused worker facts
local worker, facts, started, alike = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
for _, other in ipairs(live_workers(clock(), math.huge, alike)) do
  local theirs = type(other.facts.settings) == 'table' and other.facts.settings or {}
  local elder = other.name ~= worker and (tonumber(other.facts.started) or 0) <= started
  for i = 5, #ARGV, 2 do
    local value = theirs[ARGV[i]]
    if elder and value and value ~= ARGV[i + 1] then
      redis.call('HDEL', key.workers, worker)
      return { 'refused', other.name, other.text }
    end
  end
end
redis.call('HSET', key.workers, worker, facts)
return { 'enlisted' }
