-- closed_since(history, added, closing) → count. Return the number of the newest `added` messages that close a turn's open calls: all or
-- none. With them alone nothing has followed it. `closing` may be false.
local function closed_since(history, added, closing)
  local elements = parts_of(closing or '')
  return added == #elements and added > 0 and redis.call('LINDEX', history, 0) == elements[added] and added or 0
end
