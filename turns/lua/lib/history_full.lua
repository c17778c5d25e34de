-- history_full(session, count) → boolean. Return whether a history has no room for `count` messages more. What a turn adds is not known
-- before its end: it needs room for one.
local function history_full(session, count)
  return (history_length(session) or 0) + count > rule.max_history
end
