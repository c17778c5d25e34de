-- unfinished_of(tenant, open) → count. Return how many turns a tenant has not finished. Those of sessions without a tenant are what the
-- others, of which the newest 1,000 are looked at, leave of all `open` ones.
local function unfinished_of(tenant, open)
  if tenant ~= '' then return redis.call('ZCARD', key.open_turns .. tenant) end
  for _, other in ipairs(redis.call('ZRANGE', key.tenants, -1000, -1)) do
    if other ~= '' then open = open - redis.call('ZCARD', key.open_turns .. other) end
  end
  return open
end
