-- join_line(session, id, queue, known, first). A ready session waits in its tenant's line for a slot; one that has been at work, at the time
-- `first`, goes before all that have no place yet. The tenant that has a single slot counts as served, also when nobody waited then.
local function join_line(session, id, queue, known, first)
  local place = first and first - 2 ^ 50 or redis.call('HINCRBY', key.stats, 'lined:' .. queue, 1)
  local has_it = known.slots == 1 and redis.call('EXISTS', key.slots .. tenant_of(session)) or 0
  stand_in_line(queue, session, id, place, known.served + has_it)
end
