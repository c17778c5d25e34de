-- Read the roll: the workers at work, at most `limit`, each with what it says of itself.
-- FLAGS  no-writes
-- KEYS   workers; channel orders:<worker>
-- ARGV   limit
-- RETURN (worker facts)…
local found, limit = {}, tonumber(ARGV[1])
for _, worker in ipairs(live_workers(clock(), limit)) do
  found[#found + 1] = worker.name
  found[#found + 1] = worker.text
end
return found
