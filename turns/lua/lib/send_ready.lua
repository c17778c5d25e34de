-- send_ready(queue, free, now). Dispatch ready sessions while there is room on a queue for `free` slots: each time of the tenant that has
-- the least time in the rotation, which then goes back by the price of one turn, or is parked when its turns have all slots that they
-- may. No more than 20 in one go, with those that are passed over: a session that is not ready any more, or that somebody else has
-- broken.
local function send_ready(queue, free, now)
  local rotation = key.rotation .. queue
  if redis.call('EXISTS', rotation) == 0 then return end
  local room, slots, counted = room_on(queue, free)
  for _ = 1, 20 do
    local tenant, time = unpack(room > 0 and redis.call('ZRANGE', rotation, 0, 0, 'WITHSCORES') or {})
    if not tenant then return end
    local counts = counted or tenant ~= ''
    if counts and slots_left(tenant, slots, now) <= 0 then
      park(tenant, queue, time)
    else
      room = room - send_next(tenant, queue, time, now, counts)
    end
  end
end
