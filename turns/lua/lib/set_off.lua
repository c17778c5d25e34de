-- set_off(session, id, queue, now, sent, known, first). The head of a session may run: its dispatch goes on its queue under the number that
-- it was given, or, without one (0), the session joins its tenant's line. Where there is room all the same, somebody waits for it.
local function set_off(session, id, queue, now, sent, known, first)
  if sent > 0 then return send_dispatch(session, id, queue, sent) end
  join_line(session, id, queue, known, first and now)
  if known.room > 0 then send_ready(queue, 0, now) end
end
