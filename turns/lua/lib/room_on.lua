-- room_on(queue, free) → count, count, boolean. Return how many more dispatches may stand on a queue: one for each slot that is known to be
-- free, or a few where none is, so that a slot finds one when it falls free. Turns of `batch` leave a share of all slots to others.
-- Also how many slots there are, as far as is known, and whether slots are counted: there are tenants, or it is `batch`.
local function room_on(queue, free)
  local standing, slots, tenants = unpack(redis.call('HMGET', key.stats, 'standing', 'slots', 'tenants'))
  local room = math.max(tonumber(standing or rule.standing), free) - redis.call('LLEN', key.queue .. queue)
  slots = tonumber(slots or 0)
  if queue == 'batch' and slots > 1 then
    local reserved = rule.chat_reserve > 0 and math.max(1, math.floor(slots * rule.chat_reserve / 1000)) or 0
    room = math.min(room, slots - reserved - redis.call('SCARD', key.batch_slots))
  end
  return room, slots, (tenants or queue == 'batch') and true or false
end
