-- Ask whether a turn is still in its worker's hands, before a model or a tool is called, and note what its attempts have used.
-- FLAGS  allow-oom
-- WORK   30 steps
-- KEYS   turn:<id> session:<session>
-- ARGV   id token spent: empty where nothing is to be noted
-- RETURN kept | superseded
if not owns(id, token) then return { 'superseded' } end
if spent ~= '' then redis.call('HSET', key.turn .. id, 'spent', spent) end
return { 'kept' }
