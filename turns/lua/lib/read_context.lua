-- read_context(session, window, bytes, options) → elements, newest first | error; boolean, count, count. The messages of a history that a turn is asked
-- with: the newest, or, where its options want no truncation, all, and those that the conversation begins with; whether some are left out;
-- how many are the newest; and how many the history has. A turn that takes all, and a summary with it, is asked without what that covers.
local function read_context(session, window, bytes, options)
  local whole = options:find('"truncation":"disabled"', 1, true)
  local most = whole and 10000 or window
  local mark = whole and options:find('"compact_threshold":%d') and redis.call('HGET', key.conversation .. session, 'summarised')
  if mark and stands(session, mark) then most = math.max(1, math.min(most, history_length(session) - mark:match('^%d+'))) end
  local elements, cut = read_window(session, most, bytes)
  if lacks_right(elements) then error(elements) end
  local newest = #elements
  local older = read_opening(session, 0, elements)
  return elements, cut or (whole and older > 0), newest, newest + older
end
