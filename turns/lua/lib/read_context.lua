-- read_context(history, window, bytes, options) → elements, newest first | error; boolean. The messages of a history that a turn is asked with:
-- the newest, or, where its options want no truncation, all, and those that the conversation begins with; and whether some are left out.
local function read_context(history, window, bytes, options)
  local whole = options:find('"truncation":"disabled"', 1, true)
  local elements, cut = read_window(history, whole and 10000 or window, bytes)
  if lacks_right(elements) then error(elements) end
  local older = read_opening(history, 0, elements)
  return elements, cut or (whole and older > 0)
end
