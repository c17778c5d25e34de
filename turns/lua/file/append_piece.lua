-- Append a piece to a file that is being received. A piece that is there already, from the same place, is not appended again.
-- WORK   6,000 steps: 1,000 files
-- KEYS   file:<file> files:<tenant> pieces:<file>
-- ARGV   tenant file number offset piece: the bytes before it, and how many pieces
-- RETURN stored | too_large | full | unknown
local record, files, pieces = key.file .. file, key.files .. tenant, key.pieces .. file
local owner, created = unpack(redis.call('HMGET', record, 'tenant', 'created'))
if owner ~= tenant then return { 'unknown' } end

local size = offset + #piece
if size > rule.most_file_bytes then return { 'too_large' } end
local _, bytes = stored_files(files)
if bytes + #piece > rule.most_stored_bytes then return { 'full' } end
redis.call('HSET', files, file, ('%s %d'):format(created, size))
redis.call('HSET', record, 'bytes', size)
if redis.call('LLEN', pieces) == tonumber(number) then redis.call('RPUSH', pieces, piece) end
redis.call('PEXPIRE', pieces, rule.file_ttl)
return { 'stored' }
