-- stands(session, mark) → boolean. Return whether the last message that a summary covers, as its mark tells, is still at its place in the
-- history. Places count from 1, the oldest's: what was taken out before it, or put in its stead, moves another message there.
local function stands(session, mark)
  local place, digest = mark:match('^(%d+) (%x+)$')
  if not place or tonumber(place) > (history_length(session) or 0) then return false end
  return redis.sha1hex(redis.call('LINDEX', key.history .. session, -place):sub(-16384)) == digest
end
