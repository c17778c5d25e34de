-- Read a checkpoint of a turn's graph, the latest of its namespace unless one is named: its body, the values that it refers to, and
-- what tasks wrote after it. `known` is what was first kept under this name, by this turn or an earlier one that answered the same
-- calls. A latest one that is not there has an empty body: somebody else has damaged it.
-- FLAGS  no-writes
-- WORK   50,000 steps: a checkpoint has any of 10,000 values
-- KEYS   turn:<id> steps:<thread>
-- ARGV   id thread namespace checkpoint run
-- RETURN found checkpoint body known (names values) (names values) | missing
local steps = key.steps .. thread
local latest = checkpoint == '' and redis.call('HGET', steps, 'latest\31' .. namespace)
checkpoint = latest or checkpoint
local address = namespace .. '\31' .. checkpoint
local body, channels, writes, known = unpack(redis.call('HMGET', steps, 'checkpoint\31' .. address, 'channels\31' .. address,
  'writes\31' .. address, known_field(id, run)))
if not body and not latest then return { 'missing' } end
local function pairs_of(list, prefix)
  local found = {}
  for name in each_name(list) do
    local value = redis.call('HGET', steps, prefix .. '\31' .. name)
    if value then found[#found + 1], found[#found + 2] = name, value end
  end
  return found
end
local values = pairs_of(channels, 'value\31' .. namespace)
return { 'found', checkpoint, body or '', known or '', values, pairs_of(writes, 'write\31' .. address) }
