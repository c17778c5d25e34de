-- messages_since(history, id, ended) → count. How many messages were added after a turn: those before its own, newest first; for a
-- turn that added none, those before the first that is older than its end.
local function messages_since(history, id, ended)
  local by_time
  for start = 0, redis.call('LLEN', history) - 1, 100 do
    if by_time and start > by_time + 100 then break end
    for offset, element in ipairs(redis.call('LRANGE', history, start, start + 99)) do
      local ours = element_mark(element)
      if ours.turn == id then return start + offset - 1 end
      if not by_time and type(ours.at) == 'number' and ours.at < ended then by_time = start + offset - 1 end
    end
  end
  return by_time or 0
end
