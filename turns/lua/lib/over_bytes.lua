-- over_bytes(account, bytes, given) → limit. Return how much may be asked in all when an account of bytes has no room for so many more; nothing as
-- a rule. `given` are the quotas of the caller's key. Where nothing is counted, any size has room.
local function over_bytes(account, bytes, given)
  if bytes <= rule.small_turn then return end
  local room, taken = given.unfinished_bytes or rule.most_unfinished_bytes, redis.call('HGET', account, '')
  if taken and taken + bytes > room then return ('%.0f'):format(room) end
end
