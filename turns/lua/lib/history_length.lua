-- history_readable(session) → boolean. Return whether a history can be read: it is a list, or nothing yet, and not a key of another type
-- that somebody else has put in its place.
local function history_readable(session)
  local kind = redis.call('TYPE', key.history .. session).ok
  return kind == 'list' or kind == 'none'
end
