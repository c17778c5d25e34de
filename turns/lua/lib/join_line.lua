-- join_line(session, id, queue, now, first). A ready session waits in its tenant's line for a slot; `first` goes before all that have no
-- place yet.
local function join_line(session, id, queue, now, first)
  local place = first and now - 2 ^ 50 or redis.call('HINCRBY', key.stats, 'lined:' .. queue, 1)
  stand_in_line(queue, session, id, place, tonumber(redis.call('HGET', key.stats, 'served:' .. queue) or 0))
  send_ready(queue, 0, now)
end
