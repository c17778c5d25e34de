-- Read what a session is called: when it began (ms; that of its first message, for one that nobody began) and its metadata.
-- FLAGS  no-writes
-- WORK   50 steps
-- KEYS   conversation:<session> message_store:<session> session:<session> turns:<session>
-- ARGV   session
-- RETURN created metadata | nothing for an unknown session
if not session_exists(session) then return {} end
local begun, metadata = unpack(redis.call('HMGET', key.conversation .. session, 'created', 'metadata'))
local first = not begun and history_length(session) and redis.call('LINDEX', key.history .. session, -1)
local created = begun or (first and element_mark(first).at) or redis.call('ZRANGE', key.turns .. session, 0, 0, 'WITHSCORES')[2]
return { tostring(created or 0), metadata or '{}' }
