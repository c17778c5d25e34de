-- parts_of(text) → table. The parts of a text that was put together with \30 between them.
local function parts_of(text)
  local parts = {}
  for part in text:gmatch('[^\30]+') do parts[#parts + 1] = part end
  return parts
end
