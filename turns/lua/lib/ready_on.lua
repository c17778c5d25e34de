-- ready_on(queue, now, most) → count, ms, count. Return how many sessions stand in lines for a queue, and the longest that one has waited so far:
-- of `most` tenants, those first whose lines go round, then those that have all slots that they may. Also how many more tenants may be
-- looked at. A line that somebody else has broken counts for nothing.
local function ready_on(queue, now, most)
  local count, longest, seen = 0, 0, {}
  local function wait(session)
    local since = redis.pcall('HGET', key.session .. (session or ''), 'since')
    if type(since) == 'string' then longest = math.max(longest, now - since) end
  end
  local function look(tenant)
    local line = key.ready .. queue .. ':' .. tenant
    local length = redis.pcall('ZCARD', line)
    if type(length) ~= 'number' then return end
    count = count + length
    local first, place = unpack(redis.call('ZRANGE', line, 0, 0, 'WITHSCORES'))
    wait(first)
    -- One that has been at work stands before all that have waited from the first.
    if tonumber(place or 0) < 0 then wait(redis.call('ZRANGE', line, 0, '+inf', 'BYSCORE', 'LIMIT', 0, 1)[1]) end
  end
  for _, tenants in ipairs({ key.rotation .. queue, key.parked .. queue }) do
    for _, tenant in ipairs(most > 0 and redis.call('ZRANGE', tenants, 0, most - 1) or {}) do
      if not seen[tenant] then look(tenant) end
      seen[tenant], most = true, most - 1
    end
  end
  return count, longest, most
end
