-- Delete a file of a tenant. The results of a batch stay until the batch is forgotten.
-- FLAGS  allow-oom
-- WORK   20 steps
-- KEYS   file:<file> files:<tenant> pieces:<file>
-- ARGV   tenant file
-- RETURN deleted | unknown
local record = key.file .. file
if redis.call('HGET', record, 'tenant') ~= tenant then return { 'unknown' } end
redis.call('UNLINK', key.pieces .. file)
redis.call('HDEL', key.files .. tenant, file)
redis.call('UNLINK', record)
return { 'deleted' }
