-- Accept a turn that follows another one: in the same session as long as nothing else follows there, else in a new one,
-- `branch`, with the history up to that other turn. Idempotent by its id.
-- KEYS   turn:<id>… turns:<session> session:<session> mailbox:<session> message_store:<session>
--        conversation:<session> due stats open events:<id> <queue>
-- ARGV   id previous branch queue question options stream reply fingerprint
-- RETURN accepted place session | again state place session | conflict | unknown | unended | full_session | full
local id, previous, branch, queue, question, options, stream, reply, fingerprint = unpack(ARGV)
local now = clock()

local seen = redis.call('HMGET', key.turn .. id, 'fingerprint', 'state', 'session', 'queue')
if seen[1] then
  if seen[1] ~= fingerprint then return { 'conflict' } end
  return { 'again', seen[2], find_place(id, seen[3], seen[2], seen[4], now), seen[3] }
end
local known = redis.call('HMGET', key.turn .. previous, 'session', 'finished')
local session, ended = known[1], tonumber(known[2])
if not session then return { 'unknown' } end

local history = key.history .. session
local last = redis.call('LINDEX', key.mailbox .. session, -1) or redis.call('HGET', key.session .. session, 'head')
if last and last ~= previous and not ended then return { 'unended' } end
if redis.call('LLEN', key.mailbox .. session) >= rule.max_waiting_per_session then return { 'full_session' } end
if redis.call('ZCARD', key.open) >= rule.max_waiting then return { 'full' } end

local added = ended and messages_since(history, previous, ended) or 0
if added > 0 or (last and last ~= previous) then
  if redis.call('LLEN', history) > added then
    redis.call('COPY', history, key.history .. branch, 'REPLACE')
    redis.call('LTRIM', key.history .. branch, added, -1)
  end
  session = branch
end
return { 'accepted', create_turn(id, session, queue, question, options, stream, reply, fingerprint, now), session }
