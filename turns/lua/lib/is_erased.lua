-- is_erased(id, session, state) → boolean. True for a turn whose session was erased while its record is still to be removed: it has ended,
-- and the list of its session's turns does not hold it.
local function is_erased(id, session, state)
  return state ~= 'queued' and state ~= 'running' and not redis.pcall('ZSCORE', key.turns .. session, id)
end
