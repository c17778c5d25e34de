-- calls_under_way(model, most) → count. Return how many calls of a model are under way, with those that turns were sent for. Where they
-- are too many, the oldest are looked at: those of turns that have lost their owner are none.
local function calls_under_way(model, most)
  local calls, promised = key.calls .. model, redis.call('ZCARD', key.promised .. model)
  local count = promised + redis.call('ZCARD', calls)
  if count < most then return count end
  for _, call in ipairs(redis.call('ZRANGE', calls, 0, 9)) do
    local token, id = call:match('^%S+ (%S+) (%S+)')
    if not (id and owns(id, token)) then count = count - redis.call('ZREM', calls, call) end
  end
  return count
end
