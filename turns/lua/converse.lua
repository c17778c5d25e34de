-- Say something of a session without a turn: its metadata, and messages for its history. With `fingerprint` the session is
-- begun; without, there must be one. No message is added twice: each is one of a kind.
-- USES   clock present readable keep
-- KEYS   conversation:<session> message_store:<session> session:<session> turns:<session>
-- ARGV   session fingerprint metadata (history element)…: empty metadata leaves them as they are
-- RETURN done | again | conflict | unknown | unreadable
local session, fingerprint, metadata = unpack(ARGV, 1, 3)
local home, history, now = key.conversation .. session, key.history .. session, clock()

if #ARGV > 3 and not readable(session) then return { 'unreadable' } end
if fingerprint == '' then
  if not present(session) then return { 'unknown' } end
else
  local seen = redis.call('HGET', home, 'fingerprint')
  if seen == fingerprint then return { 'again' } end
  if seen or present(session) then return { 'conflict' } end
  redis.call('HSET', home, 'fingerprint', fingerprint, 'created', now)
end
if metadata ~= '' then redis.call('HSET', home, 'metadata', metadata) end
for i = 4, #ARGV do
  if not redis.call('LPOS', history, ARGV[i], 'MAXLEN', 1000) then redis.call('LPUSH', history, ARGV[i]) end
end
keep(session, redis.call('EXISTS', key.session .. session) == 1)
return { 'done' }
