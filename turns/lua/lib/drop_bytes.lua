-- drop_bytes(account, ids). Take entries, 1,000 at most, out of an account of bytes. One write takes what they ask off the sum, so that a cut
-- parts neither from the other.
local function drop_bytes(account, ids)
  local sizes, dropped = redis.call('HMGET', account, '', unpack(ids)), {}
  local left = sizes[1] or 0
  for place, id in ipairs(ids) do
    local size = sizes[place + 1]
    -- One that stands twice among them counts once.
    if size and not dropped[id] then
      left, dropped[id] = left - size, true
      dropped[#dropped + 1], dropped[#dropped + 2] = id, 0
    end
  end
  if #dropped > 0 and left <= 0 then
    redis.call('UNLINK', account)
  elseif #dropped > 0 then
    redis.call('HSET', account, '', left, unpack(dropped))
    redis.call('HDEL', account, unpack(ids))
  end
end
