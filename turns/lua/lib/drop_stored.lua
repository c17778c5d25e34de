-- drop_stored(tenant, name, set). Forget a file or a batch of a tenant, which is a member of `set`, with its bytes.
local function drop_stored(tenant, name, set)
  redis.call('UNLINK', key.pieces .. name, key.results .. name)
  charge(tenant, name, 0)
  redis.call('HDEL', key.stored .. tenant, name)
  redis.call('ZREM', set .. tenant, name)
  -- Until the record goes, a delete can be called again.
  redis.call('UNLINK', (set == key.files and key.file or key.batch) .. name)
end
