-- read_window(history, most) → elements, newest first | error. The newest messages of a history. Where no human's is among them, those up
-- to the newest one come too, if 1,000 more hold it: a long exchange is not cut between its calls and their answers.
local function read_window(history, most)
  local elements = redis.pcall('LRANGE', history, most > 0 and 0 or 1, math.max(0, most - 1))
  if elements.err or most == 0 or #elements < most then return elements end
  local function human(found)
    for place, element in ipairs(found) do
      if element:find('^{"type": ?"[hH]uman') then return place end
    end
  end
  if human(elements) then return elements end
  local older = redis.call('LRANGE', history, most, most + 999)
  for place = 1, human(older) or 0 do elements[#elements + 1] = older[place] end
  return elements
end
