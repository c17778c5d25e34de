-- set_off(session, id, queue, sent, now, first). The head of a session may run: its dispatch goes on its queue under the number that
-- it was given, or, without one (0), the session joins its tenant's line.
local function set_off(session, id, queue, sent, now, first)
  if sent > 0 then return send_dispatch(session, id, queue, sent) end
  join_line(session, id, queue, now, first)
end
