-- Keep what a task of a turn's graph wrote after a checkpoint; only the turn's owner may. A repeat changes nothing: a value that is
-- there stays, but for LangGraph's own channels, whose places are below zero. What comes after the next checkpoint is passed over.
-- `results` of open calls close them, should nobody answer these.
-- FLAGS  allow-oom
-- WORK   5,000 steps, and 12 for each of places: the closing elements of one turn's calls are read
-- KEYS   turn:<id>… session:<session> steps:<thread>
-- ARGV   id token thread namespace checkpoint run task replace known results (places values)…
-- RETURN kept | superseded | full
if not owns(id, token) then return { 'superseded' } end
local steps, address = key.steps .. thread, namespace .. '\31' .. checkpoint
if redis.call('HLEN', steps) >= rule.most_fields then return { 'full' } end
note_run(steps, id, run, known)
keep_results(id, results)
local latest = redis.call('HGET', steps, 'latest\31' .. namespace)
if replace == '1' and latest and latest > checkpoint then return { 'kept' } end
local list = redis.call('HGET', steps, 'writes\31' .. address) or ''
for i, place in ipairs(places) do
  local name = task .. '\31' .. place
  local field = 'write\31' .. address .. '\31' .. name
  -- A value that is in no list was left by a call that was cut short: nobody has been told of it.
  local fresh = redis.call('HEXISTS', steps, field) == 0 or not ('\30' .. list):find('\30' .. name .. '\30', 1, true)
  if fresh then list = list .. name .. '\30' end
  if fresh or tonumber(place) < 0 then redis.call('HSET', steps, field, values[i]) end
end
redis.call('HSET', steps, 'writes\31' .. address, list)
redis.call('PEXPIRE', steps, rule.steps_ttl)
return { 'kept' }
