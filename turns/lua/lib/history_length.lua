-- history_length(session) → count. Return how many messages a history has; nil when it cannot be read, because somebody else has put a
-- key of another type in its place.
local function history_length(session)
  local length = redis.pcall('LLEN', key.history .. session)
  if type(length) == 'number' then return length end
  if not length.err:find('WRONGTYPE', 1, true) then error(length) end
end
