-- count_bytes(account, id, bytes). Count what is asked by one entry of an account, once, if it is much; in one write with their sum, so that a cut
-- parts neither from the other.
local function count_bytes(account, id, bytes)
  if bytes <= rule.small_turn then return end
  local sum, known = unpack(redis.call('HMGET', account, '', id))
  if not known then redis.call('HSET', account, '', (sum or 0) + bytes, id, bytes) end
end
