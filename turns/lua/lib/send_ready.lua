-- send_ready(queue, free, now). Dispatch ready sessions while there is room on a queue for `free` slots: each time of the tenant that has
-- the least time in the rotation, which then goes back by the price of one turn, or is parked when its turns have all slots that they
-- may. No more than 20 in one go, with those that are passed over: a session that is not ready any more, or that somebody else has
-- broken. Where models have budgets, one whose model has no place goes into the line there.
local function send_ready(queue, free, now)
  local rotation, known = key.rotation .. queue, nil
  for _ = 1, 20 do
    local tenant, time, rival = unpack(redis.call('ZRANGE', rotation, 0, 1, 'WITHSCORES'))
    known = known or tenant and read_queue(queue, free)
    if not tenant or known.room <= 0 then return end
    local counts = known.counted or tenant ~= ''
    if counts and slots_left(tenant, known.slots, now) <= 0 then
      park(tenant, queue, time)
    else
      local look = known.budgeted > now and function(...) return stand_at_model(...) end
      known.room = known.room - send_next(tenant, queue, time, rival, now, known, counts, nil, look)
      if known.room <= 0 then return end
    end
  end
end
