-- List the checkpoints of a turn's graph: namespace and name of each, in no order.
-- FLAGS  no-writes
-- WORK   11,000 steps: a graph keeps 10,000 values
-- KEYS   steps:<thread>
-- ARGV   thread
-- RETURN (namespace checkpoint)…
local found = {}
for _, field in ipairs(redis.call('HKEYS', key.steps .. thread)) do
  local address, checkpoint = field:match('^checkpoint\31(.*)\31([^\31]*)$')
  if address then found[#found + 1], found[#found + 2] = address, checkpoint end
end
return found
