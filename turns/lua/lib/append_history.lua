-- append_history(session, elements, careful). Add messages to a history, oldest first. `careful`: those that are among the newest already are
-- left out. The size of the largest is noted before, if it is large: whoever reads knows how many to read at a time.
local function append_history(session, elements, careful)
  local history, fresh, step, largest = key.history .. session, careful and {} or elements, 1000, 0
  for _, element in ipairs(careful and elements or {}) do
    if not redis.call('LPOS', history, element, 'MAXLEN', 1000) then fresh[#fresh + 1] = element end
  end
  for _, element in ipairs(fresh) do largest = math.max(largest, #element) end
  if largest > 1048576 and largest > tonumber(redis.call('HGET', key.conversation .. session, 'largest') or 0) then
    redis.call('HSET', key.conversation .. session, 'largest', largest)
  end
  for first = 1, #fresh, step do redis.call('LPUSH', history, unpack(fresh, first, math.min(first + step - 1, #fresh))) end
end
