-- Check that a process can read what is stored, and note its schema if that is the newest.
-- FLAGS  allow-oom
-- WORK   20 steps
-- KEYS   schema
-- ARGV   number version: the schema of the process, and its version
-- RETURN readable | newer number version: the schema that a newer process has noted, and its version
local noted = redis.call('HMGET', key.schema, 'number', 'version')
local newest = tonumber(noted[1]) or 0
if newest > tonumber(number) then return { 'newer', noted[1], noted[2] or '' } end
if newest < tonumber(number) then redis.call('HSET', key.schema, 'number', number, 'version', version) end
return { 'readable' }
