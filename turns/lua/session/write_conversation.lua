-- Say something of a session without a turn: its metadata, and messages for its history. With `fingerprint` the session is
-- begun; without, there must be one. No message is added twice: each is one of a kind.
-- KEYS   conversation:<session> message_store:<session> session:<session> turns:<session>
-- ARGV   session fingerprint metadata (history element)…: empty metadata leaves them as they are
-- RETURN done | again | conflict | unknown | unreadable
local session, fingerprint, metadata = unpack(ARGV, 1, 3)
local home, history, now = key.conversation .. session, key.history .. session, clock()

if #ARGV > 3 and not history_readable(session) then return { 'unreadable' } end
if fingerprint == '' then
  if not session_exists(session) then return { 'unknown' } end
else
  local seen = redis.call('HMGET', home, 'fingerprint', 'owed')
  if seen[1] == fingerprint and not seen[2] then return { 'again' } end
  if seen[1] and seen[1] ~= fingerprint or not seen[1] and session_exists(session) then return { 'conflict' } end
  -- Until its messages are there it is only begun: a repeat adds those that are missing.
  redis.call('HSET', home, 'fingerprint', fingerprint, 'created', now, 'owed', 1)
end
if metadata ~= '' then redis.call('HSET', home, 'metadata', metadata) end
-- Lua unpacks 8,000 at most.
local elements = {}
for i = 4, #ARGV do elements[#elements + 1] = ARGV[i] end
append_history(history, elements, true)
keep_history(session, redis.call('EXISTS', key.session .. session) == 1)
if fingerprint ~= '' then redis.call('HDEL', home, 'owed') end
return { 'done' }
