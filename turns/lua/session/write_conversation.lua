-- Say something of a session without a turn: its metadata, and messages for its history. With `fingerprint` the session is
-- begun; without, there must be one. No message is added twice: each is one of a kind.
-- WORK   5,000 steps, and 1,010 for each of elements: none is added twice, and large ones are compared with 20 others
-- KEYS   conversation:<session> message_store:<session> session:<session> turns:<session> conversations:<tenant>
-- ARGV   session fingerprint metadata most elements…: empty metadata leaves them as they are; `most` (may be empty) conversations of a tenant
-- RETURN done | again | conflict | unknown | unreadable | full_history | full
local conversation, history, now = key.conversation .. session, key.history .. session, clock()

if #elements > 0 and not history_length(session) then return { 'unreadable' } end
local is_full = #elements > 0 and history_full(session, #elements)
if is_full and not redis.call('LPOS', history, elements[#elements], 'MAXLEN', depth_for(elements)) then return { 'full_history' } end
if fingerprint == '' then
  if not session_exists(session) then return { 'unknown' } end
  if most ~= '' and not place_for(session, tonumber(most), now) then return { 'full' } end
else
  local seen, owed = unpack(redis.call('HMGET', conversation, 'fingerprint', 'owed'))
  if seen == fingerprint and not owed then return { 'again' } end
  if seen and seen ~= fingerprint or not seen and session_exists(session) then return { 'conflict' } end
  if most ~= '' and not place_for(session, tonumber(most), now) then return { 'full' } end
  -- Until its messages are there it is only begun: a repeat adds those that are missing.
  redis.call('HSET', conversation, 'fingerprint', fingerprint, 'created', now, 'owed', 1)
end
if metadata ~= '' then redis.call('HSET', conversation, 'metadata', metadata) end
append_history(session, elements, true)
keep_history(session, redis.call('EXISTS', key.session .. session) == 1)
if fingerprint ~= '' then redis.call('HDEL', conversation, 'owed') end
return { 'done' }
