-- history_readable(session) → boolean. Whether a history is one: a list, or nothing yet; not a key of another type that somebody else
-- has put in its place.
local function history_readable(session)
  local kind = redis.call('TYPE', key.history .. session).ok
  return kind == 'list' or kind == 'none'
end
