-- drop_old(set, before). Take members that are older out of a set of moments, 100 at most: that is more than each call of a script adds.
local function drop_old(set, before)
  local old = redis.call('ZRANGEBYSCORE', set, '-inf', before, 'LIMIT', 0, 100)
  if #old > 0 then redis.call('ZREM', set, unpack(old)) end
end
