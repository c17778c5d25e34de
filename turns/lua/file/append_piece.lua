-- Append a piece to a file that is being received. A piece that is there already, from the same place, is not appended again.
-- WORK   2,000 steps: what has expired is removed
-- KEYS   file:<file> files:<tenant> pieces:<file> stored:<tenant> results:<file> batch:<batch> batches:<tenant>
--        tenant:<tenant>
-- ARGV   tenant file number offset piece last: the bytes before it, and how many pieces; `last` is not empty for the last one
-- RETURN stored | too_large | full | unknown
local record, pieces, size = key.file .. file, key.pieces .. file, offset + #piece
if redis.call('HGET', record, 'tenant') ~= tenant then return { 'unknown' } end
if size > rule.most_file_bytes then return { 'too_large' } end
if not fits(tenant, file, size, clock()) then return { 'full' } end
charge(tenant, file, size)
if redis.call('LLEN', pieces) == tonumber(number) then redis.call('RPUSH', pieces, piece) end
redis.call('PEXPIRE', pieces, rule.file_ttl)
redis.call('HSET', record, 'bytes', size, 'whole', last)
return { 'stored' }
