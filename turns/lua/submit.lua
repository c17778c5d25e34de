-- Accept a turn; idempotent by its id. Refused by the server itself when it is out of memory.
-- USES   clock ahead dispatch keep enqueue enrol
-- KEYS   turn:<id> turns:<session> session:<session> mailbox:<session> due stats events:<id>
--        message_store:<session> conversation:<session> <queue>
-- ARGV   id session queue question options stream reply fingerprint
-- RETURN accepted place | again state place | conflict | full_session | full
local id, session, queue, question, options, stream, reply, fingerprint = unpack(ARGV)
local mailbox, now = key.mailbox .. session, clock()

local seen = redis.call('HMGET', key.turn .. id, 'fingerprint', 'state')
if seen[1] then
  if seen[1] ~= fingerprint then return { 'conflict' } end
  return { 'again', seen[2], (redis.call('LPOS', mailbox, id) or -1) + 1 }
end
if redis.call('LLEN', mailbox) >= rule.max_waiting_per_session then return { 'full_session' } end
if tonumber(redis.call('HGET', key.stats, 'open') or 0) >= rule.max_waiting then return { 'full' } end

return { 'accepted', enrol(id, session, queue, question, options, stream, reply, fingerprint, now) }
