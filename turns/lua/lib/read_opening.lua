-- read_opening(history, newer, elements) → number. Add the first messages of a history to those behind its `newer` newest, as long as they are
-- the system's, 20 and 1 MiB at most: what a conversation begins with holds for all of it. Return how many there are before the elements.
local function read_opening(history, newer, elements)
  local length, oldest = elements.err and 0 or redis.call('LLEN', history), #elements + 1
  local older = length - newer - #elements
  local opening = older > 0 and read_within(history, length - 1, -1, math.min(20, older), 1048576, 0) or {}
  for _, element in ipairs(opening) do
    if not element:find('^{"type": ?"[sS]ystem') then break end
    table.insert(elements, oldest, element)
  end
  return older
end
