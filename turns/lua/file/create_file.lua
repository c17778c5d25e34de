-- Begin a file of a tenant, to which pieces are then appended.
-- WORK   2,000 steps: what has expired is removed
-- KEYS   file:<file> files:<tenant> pieces:<file> stored:<tenant> results:<file> batch:<batch> batches:<tenant>
-- ARGV   tenant file name
-- RETURN created | too_many
local record, files, now = key.file .. file, key.files .. tenant, clock()
free_room(tenant, now)
if redis.call('ZCARD', files) >= rule.most_files and not redis.call('ZSCORE', files, file) then return { 'too_many' } end
redis.call('ZADD', files, 'NX', now, file)
charge(tenant, file, 0)
redis.call('HSET', record, 'tenant', tenant, 'name', name, 'purpose', 'batch', 'created', now, 'bytes', 0)
redis.call('PEXPIRE', record, rule.file_ttl)
return { 'created' }
