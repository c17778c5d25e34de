-- Keep a checkpoint of a turn's graph; only the turn's owner may. A repeat changes nothing. With `replace` it takes the place of
-- the checkpoint before it in its namespace, and of that one's writes. `channels` names every value that it refers to; those that
-- are new come along.
-- FLAGS  allow-oom
-- WORK   40,000 steps, and 10 for each of names: the checkpoint before may have any of 10,000 values
-- KEYS   turn:<id> session:<session> steps:<thread>
-- ARGV   id token thread namespace checkpoint run replace body channels known spent (names values)…: `known` and `spent` are empty where
--        nothing is to be noted
-- RETURN kept | superseded | full
if not owns(id, token) then return { 'superseded' } end
local steps, place = key.steps .. thread, namespace .. '\31' .. checkpoint
if redis.call('HLEN', steps) >= rule.most_fields then return { 'full' } end
if spent ~= '' then redis.call('HSET', key.turn .. id, 'spent', spent) end
note_run(steps, id, run, known)
for i, name in ipairs(names) do redis.call('HSET', steps, 'value\31' .. namespace .. '\31' .. name, values[i]) end
redis.call('HSET', steps, 'channels\31' .. place, channels, 'checkpoint\31' .. place, body)
redis.call('PEXPIRE', steps, rule.steps_ttl)
local before = redis.call('HGET', steps, 'latest\31' .. namespace)
if before and before >= checkpoint then return { 'kept' } end
redis.call('HSET', steps, 'latest\31' .. namespace, checkpoint)
if replace ~= '1' or not before then return { 'kept' } end

local old, kept = namespace .. '\31' .. before, {}
for name in each_name(channels) do kept[name] = true end
for name in each_name(redis.call('HGET', steps, 'channels\31' .. old)) do
  if not kept[name] then redis.call('HDEL', steps, 'value\31' .. namespace .. '\31' .. name) end
end
for name in each_name(redis.call('HGET', steps, 'writes\31' .. old)) do redis.call('HDEL', steps, 'write\31' .. old .. '\31' .. name) end
redis.call('HDEL', steps, 'channels\31' .. old, 'checkpoint\31' .. old, 'writes\31' .. old)
return { 'kept' }
