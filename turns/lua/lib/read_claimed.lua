-- read_claimed(session, window, bytes, options, noted) → elements, newest first | error; boolean, count, count, text. The messages that a claimed turn is
-- asked with, as `read_context` gives them. A large turn whose claim was `noted` is not looked through once more, unless others have
-- written to its history since: then no elements, and the note.
local function read_claimed(session, window, bytes, options, noted)
  if noted and history_length(session) == tonumber(noted:match('(%d+) %d$')) then return {}, noted:sub(-1) == '1', 0, 0, noted end
  return read_context(session, window, bytes, options)
end
