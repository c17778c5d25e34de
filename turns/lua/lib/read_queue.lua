-- read_queue(queue, free) → table. Return what is known of a queue: `room`, how many more dispatches may stand there: one for each slot that is
-- known to be free, or a few where none is, so that a slot finds one when it falls free; none beside a single slot that is taken, whose
-- next turn is chosen when it falls free. Turns of `batch` leave a share of all slots to others. `slots` that there are, as far as is known; `counted`: they are, since there are tenants, or it is `batch`; `passed`, the
-- number of the newest dispatch that was claimed; `served`, the time of the tenant that was served last; `budgeted`, until when
-- budgets of models are looked at before a dispatch.
local function read_queue(queue, free)
  local standing, slots, tenants, passed, served, budgeted, sent, sent_at =
    unpack(redis.call('HMGET', key.stats, 'standing', 'slots', 'tenants', 'passed:' .. queue, 'served:' .. queue, 'budgeted', 'sent:' .. queue,
      'sent_at:' .. queue))
  slots, passed = tonumber(slots or 0), tonumber(passed or 0)
  local most = math.max(tonumber(standing or rule.standing), free)
  local worker = slots == 1 and redis.call('HRANDFIELD', key.workers)
  -- A dispatch that has left the queue is about to be claimed, unless it was lost, or somebody knows that the slot is free.
  local comes = worker and free == 0 and tonumber(sent or 0) > passed and math.abs(clock() - (sent_at or 0)) < rule.silence
  if worker and (comes or redis.call('EXISTS', key.owned .. worker) == 1) then most = 0 end
  local room = most - redis.call('LLEN', key.queue .. queue)
  if queue == 'batch' and slots > 1 then
    local reserved = rule.chat_reserve > 0 and math.max(1, math.floor(slots * rule.chat_reserve / 1000)) or 0
    room = math.min(room, slots - reserved - redis.call('SCARD', key.batch_slots))
  end
  return { room = room, slots = slots, counted = (tenants or queue == 'batch') and true or false, passed = passed,
    served = tonumber(served or 0), budgeted = tonumber(budgeted or 0) }
end
