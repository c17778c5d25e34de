-- calls_under_way(model, most) → count. Return how many calls of a model are under way, with those that turns were sent for. Where they
-- are too many, the oldest are looked at: those of turns that have lost their owner are none, nor those of requests to gateways (id `-`)
-- that must have ended.
local function calls_under_way(model, most)
  local calls, promised = key.calls .. model, redis.call('ZCARD', key.promised .. model)
  local count = promised + redis.call('ZCARD', calls)
  if count < most then return count end
  local oldest = redis.call('ZRANGE', calls, 0, 9, 'WITHSCORES')
  for place = 1, #oldest, 2 do
    local call, since = oldest[place], oldest[place + 1]
    local token, id = call:match('^%S+ (%S+) (%S+)')
    local lasts = id == '-' and since + rule.request >= clock() or id ~= '-' and id and owns(id, token)
    if not lasts then count = count - redis.call('ZREM', calls, call) end
  end
  return count
end
