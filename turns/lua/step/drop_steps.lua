-- Forget the steps of namespaces that begin in one way; only the turn's owner may.
-- FLAGS  allow-oom
-- WORK   50,000 steps: a graph keeps 10,000 values
-- KEYS   turn:<id> session:<session> steps:<thread>
-- ARGV   id token thread namespace
-- RETURN kept | superseded
if not owns(id, token) then return { 'superseded' } end
local steps = key.steps .. thread
for _, field in ipairs(redis.call('HKEYS', steps)) do
  local _, last = field:find('\31', 1, true)
  if last and field:sub(last + 1, last + #namespace) == namespace then redis.call('HDEL', steps, field) end
end
return { 'kept' }
