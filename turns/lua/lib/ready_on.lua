-- ready_on(queue, now, tenants) → count, ms. Return how many sessions stand in lines for a queue, and the longest that one has waited so far:
-- of `tenants`, 500 if not given, and the first of each line. A line that somebody else has broken counts for nothing.
local function ready_on(queue, now, tenants)
  local count, longest = 0, 0
  for _, tenant in ipairs(redis.call('ZRANGE', key.rotation .. queue, 0, (tenants or 500) - 1)) do
    local line = key.ready .. queue .. ':' .. tenant
    local length, first = redis.pcall('ZCARD', line), redis.pcall('ZRANGE', line, 0, 0)
    if type(length) == 'number' then count = count + length end
    local since = redis.pcall('HGET', key.session .. (first[1] or ''), 'since')
    if type(since) == 'string' then longest = math.max(longest, now - since) end
  end
  return count, longest
end
