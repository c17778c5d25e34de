-- charge(tenant, name, bytes) → total. Note how many bytes a file or a batch takes of what its tenant may store. One write changes the
-- entry and the sum, so the sum is that of the entries whatever is cut short.
local function charge(tenant, name, bytes)
  local stored, total = key.stored .. tenant, total_with(tenant, name, bytes)
  redis.call('HSET', stored, '', total, name, bytes)
  for _, name in ipairs({ stored, key.files .. tenant, key.batches .. tenant }) do redis.call('PEXPIRE', name, rule.file_ttl) end
  return total
end
