-- read_opening(session, newer, elements) → number. Add the first messages of a history to those behind its `newer` newest, as long as they are
-- the system's, 20 and 1 MiB at most: what a conversation begins with holds for all of it. Return how many there are before the elements.
local function read_opening(session, newer, elements)
  local history = key.history .. session
  local length, oldest = elements.err and 0 or redis.call('LLEN', history), #elements + 1
  local older = length - newer - #elements
  if older <= 0 then return older end
  local function is_system(element) return element:find('^{"type": ?"[sS]ystem') end
  -- Most conversations begin with a question: more than the first message is read only when that is the system's.
  if not is_system(redis.call('LINDEX', history, -1)) then return older end
  for _, element in ipairs(read_within(session, length - 1, -1, math.min(20, older), 1048576, 0)) do
    if not is_system(element) then break end
    table.insert(elements, oldest, element)
  end
  return older
end
