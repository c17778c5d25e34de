-- room_on(queue, free) → count. Return how many more dispatches may stand on a queue: one for each slot that is known to be free, or
-- a few where none is, so that a slot finds one when it falls free.
local function room_on(queue, free)
  local few = tonumber(redis.call('HGET', key.stats, 'standing') or rule.standing)
  return math.max(few, free) - redis.call('LLEN', key.queue .. queue)
end
