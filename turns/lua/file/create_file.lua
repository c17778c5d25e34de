-- Begin a file of a tenant, to which pieces are then appended.
-- WORK   10,000 steps: 1,000 files
-- KEYS   file:<file> files:<tenant> pieces:<file>
-- ARGV   tenant file name purpose
-- RETURN created ms | too_many
local record, files, now = key.file .. file, key.files .. tenant, clock()
local created = redis.call('HGET', record, 'created') or ('%d'):format(now)
if #stored_files(files) >= rule.most_files and redis.call('HEXISTS', files, file) == 0 then return { 'too_many' } end
redis.call('HSET', files, file, created .. ' 0')
redis.call('PEXPIRE', files, rule.file_ttl)
redis.call('HSET', record, 'tenant', tenant, 'name', name, 'purpose', purpose, 'created', created, 'bytes', 0)
redis.call('PEXPIRE', record, rule.file_ttl)
return { 'created', tonumber(created) }
