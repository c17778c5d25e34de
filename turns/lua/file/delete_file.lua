-- Delete a file of a tenant: one that was uploaded, or results of a batch.
-- FLAGS  allow-oom
-- WORK   50 steps
-- KEYS   file:<file> files:<tenant> pieces:<file> stored:<tenant> results:<file> batch:<batch> batches:<tenant>
-- ARGV   tenant file
-- RETURN deleted | unknown
if redis.call('HGET', key.file .. file, 'tenant') ~= tenant then return { 'unknown' } end
drop_stored(tenant, file, key.files)
return { 'deleted' }
