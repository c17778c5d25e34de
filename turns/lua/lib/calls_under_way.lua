-- calls_under_way(budget, most) → count. Return how many calls of a model are under way, with those that turns were sent for. Where they
-- are too many, fifty are looked at, others in each second: those of turns that have lost their owner are none, nor those of requests to
-- gateways (id `-`) that must have ended.
local function calls_under_way(budget, most)
  local calls, promised = key.calls .. budget.model, redis.call('ZCARD', key.promised .. budget.model)
  local count = redis.call('ZCARD', calls)
  if promised + count < most or budget.looked then return promised + count end
  budget.looked = true
  local now = clock()
  local from = math.floor(now / 1000) % math.max(1, math.ceil(count / 50)) * 50
  local some = redis.call('ZRANGE', calls, from, from + 49, 'WITHSCORES')
  for place = 1, #some, 2 do
    local call, since = some[place], some[place + 1]
    local token, id = call:match('^%S+ (%S+) (%S+)')
    local lasts = id == '-' and since + rule.request >= now or id ~= '-' and id and owns(id, token)
    if not lasts then count = count - redis.call('ZREM', calls, call) end
  end
  return promised + count
end
