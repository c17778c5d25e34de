-- close_calls(session). The open calls of a held session get their closing elements, and the steps of their thread go. From the first
-- write on they take no answers, or a call would have two.
local function close_calls(session)
  local session_key = key.session .. session
  local phase, closing, thread = unpack(redis.call('HMGET', session_key, 'phase', 'closing', 'thread'))
  if phase ~= 'closing' then redis.call('HSET', session_key, 'phase', 'closing') end
  if closing and history_length(session) then append_history(session, parts_of(closing), true) end
  if thread then redis.call('UNLINK', key.steps .. thread) end
end
