-- append_history(session, elements, careful). Add messages to a history, oldest first. `careful`: those that are among the newest already are
-- left out. The size of the largest is noted before, if it is large: whoever reads knows how many to read at a time; and when the first came, which
-- is not read for its time then.
local function append_history(session, elements, careful)
  local history, conversation, fresh, step, largest = key.history .. session, key.conversation .. session, careful and {} or elements, 1000, 0
  local depth = careful and depth_for(elements)
  for _, element in ipairs(careful and elements or {}) do
    if not redis.call('LPOS', history, element, 'MAXLEN', depth) then fresh[#fresh + 1] = element end
  end
  for _, element in ipairs(fresh) do largest = math.max(largest, #element) end
  if largest > 1048576 and largest > tonumber(redis.call('HGET', conversation, 'largest') or 0) then
    local first = redis.call('HEXISTS', conversation, 'created') == 0 and element_mark(redis.call('LINDEX', history, -1) or fresh[1]).at
    if type(first) == 'number' then redis.call('HSET', conversation, 'created', ('%.0f'):format(first)) end
    redis.call('HSET', conversation, 'largest', largest)
  end
  for first = 1, #fresh, step do redis.call('LPUSH', history, unpack(fresh, first, math.min(first + step - 1, #fresh))) end
end
