-- List the workers at work, at most `limit`, each with what it says of itself.
-- FLAGS  no-writes
-- WORK   16,000 steps: 2,000 workers
-- KEYS   workers; channel orders:<worker>
-- ARGV   limit
-- RETURN (worker facts)…
local found = {}
for _, worker in ipairs(live_workers(clock(), tonumber(limit))) do
  found[#found + 1] = worker.name
  found[#found + 1] = worker.text
end
return found
