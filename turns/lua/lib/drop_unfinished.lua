-- drop_unfinished(tenant, ids). Count turns, 1,000 at most, and their bytes no longer as unfinished. One write takes the bytes off their sum, so
-- that a cut parts neither from the other.
local function drop_unfinished(tenant, ids)
  local counted, dropped = key.open_bytes .. tenant, {}
  local sizes = redis.call('HMGET', counted, '', unpack(ids))
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
    redis.call('UNLINK', counted)
  elseif #dropped > 0 then
    redis.call('HSET', counted, '', left, unpack(dropped))
    redis.call('HDEL', counted, unpack(ids))
  end
  if tenant ~= '' then redis.call('ZREM', key.open_turns .. tenant, unpack(ids)) end
end
