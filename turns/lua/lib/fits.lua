-- fits(tenant, name, bytes, now) → boolean. Return whether there is room for a file or a batch to take so many bytes; what has expired
-- makes room.
local function fits(tenant, name, bytes, now)
  local own = tonumber(redis.call('HGET', key.tenant .. tenant, 'stored_bytes') or 0)
  local most = own > 0 and math.min(own, rule.most_stored_bytes) or rule.most_stored_bytes
  if total_with(tenant, name, bytes) <= most then return true end
  free_room(tenant, now)
  return total_with(tenant, name, bytes) <= most
end
