-- drop_unfinished(tenant, ids). Count turns, 1,000 at most, and their bytes no longer as unfinished.
local function drop_unfinished(tenant, ids)
  drop_bytes(key.open_bytes .. tenant, ids)
  if tenant ~= '' then redis.call('ZREM', key.open_turns .. tenant, unpack(ids)) end
end
