-- join_line(session, id, queue, now, first). A ready session waits in its tenant's line, where it keeps the place that it has; `first`
-- goes before all that have none yet. A tenant that comes anew joins the rotation one turn behind the one that was served last,
-- before those who are there already: nobody waits for two turns of another, or gains by coming and going.
local function join_line(session, id, queue, now, first)
  local tenant, rotation = tenant_of(session), key.rotation .. queue
  local place = first and now - 2 ^ 50 or redis.call('HINCRBY', key.stats, 'lined:' .. queue, 1)
  redis.call('ZADD', key.ready .. queue .. ':' .. tenant, 'LT', place, session)
  if not (redis.call('ZSCORE', rotation, tenant) or redis.call('ZSCORE', key.parked .. queue, tenant)) then
    local served = tonumber(redis.call('HGET', key.stats, 'served:' .. queue) or 0)
    redis.call('ZADD', rotation, served + price_of(redis.call('HGET', key.turn .. id, 'weight')) - 1, tenant)
  end
  send_ready(queue, 0, now)
end
