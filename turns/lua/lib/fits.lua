-- fits(tenant, name, bytes, now) → boolean. Return whether there is room for a file or a batch to take so many bytes; what has expired
-- makes room.
local function fits(tenant, name, bytes, now)
  if total_with(tenant, name, bytes) <= rule.most_stored_bytes then return true end
  free_room(tenant, now)
  return total_with(tenant, name, bytes) <= rule.most_stored_bytes
end
