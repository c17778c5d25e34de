-- Forget the steps of namespaces that begin in one way; only the turn's owner may. Bounded by the steps of one turn.
-- FLAGS  allow-oom
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
