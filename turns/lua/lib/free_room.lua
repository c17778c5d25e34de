-- free_room(tenant, now). Forget the files and batches of a tenant that are kept no longer, 20 of each at most: more than a call adds.
local function free_room(tenant, now)
  for _, set in ipairs({ key.files, key.batches }) do
    for _, name in ipairs(redis.call('ZRANGEBYSCORE', set .. tenant, '-inf', now - rule.file_ttl, 'LIMIT', 0, 20)) do
      drop_stored(tenant, name, set)
    end
  end
end
