-- append_history(history, elements, careful). Add messages, oldest first. `careful`: those that are among the newest already are left out.
local function append_history(history, elements, careful)
  local fresh, step = careful and {} or elements, 1000
  for _, element in ipairs(careful and elements or {}) do
    if not redis.call('LPOS', history, element, 'MAXLEN', 1000) then fresh[#fresh + 1] = element end
  end
  for first = 1, #fresh, step do redis.call('LPUSH', history, unpack(fresh, first, math.min(first + step - 1, #fresh))) end
end
