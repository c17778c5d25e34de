-- total_with(tenant, name, bytes) → total. Return what a tenant's files and batches take together if this one takes so many bytes.
local function total_with(tenant, name, bytes)
  local total, before = unpack(redis.call('HMGET', key.stored .. tenant, '', name))
  return (tonumber(total) or 0) - (tonumber(before) or 0) + bytes
end
