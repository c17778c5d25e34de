-- read_window(session, most, bytes) → elements, newest first | error; boolean. The newest messages of a history, as far as their bytes go,
-- and whether bytes ended them. Where no human's is among them, those up to the newest one come too, if 1,000 more hold it and there
-- are bytes left: a long exchange is not cut between its calls and their answers.
local function read_window(session, most, bytes)
  local elements, cut, size = read_within(session, 0, 1, most, bytes, 0)
  if elements.err or cut or most == 0 or #elements < most then return elements, cut end
  local function human(found)
    for place, element in ipairs(found) do
      if element:find('^{"type": ?"[hH]uman') then return place end
    end
  end
  if human(elements) then return elements, false end
  local older = read_within(session, most, 1, 1000, bytes - size, 0)
  for place = 1, human(older) or 0 do elements[#elements + 1] = older[place] end
  return elements, false
end
