-- Forget the steps of namespaces that begin in one way; only the turn's owner may.
-- FLAGS  allow-oom
-- WORK   50,000 steps: a graph keeps 10,000 values
-- KEYS   turn:<id> session:<session> steps:<thread>
-- ARGV   id token thread namespace
-- RETURN kept | superseded
if not owns(id, token) then return { 'superseded' } end
local steps, dropped = key.steps .. thread, {}
for _, field in ipairs(redis.call('HKEYS', steps)) do
  local _, last = field:find('\31', 1, true)
  -- The latest of each graph go first: steps that are named by nothing read as none, and not as damaged.
  local place = field:find('latest\31', 1, true) == 1 and 1 or #dropped + 1
  if last and field:sub(last + 1, last + #namespace) == namespace then table.insert(dropped, place, field) end
end
for _, field in ipairs(dropped) do redis.call('HDEL', steps, field) end
return { 'kept' }
