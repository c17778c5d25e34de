-- Accept a turn that follows another one: in the same session as long as nothing else follows there, else in a new one,
-- `branch`, with as much of the history up to that other turn as a window holds. Idempotent by its id.
-- KEYS   turn:<id>… turns:<session> session:<session> mailbox:<session> message_store:<session>
--        conversation:<session> due stats open failed events:<id> celery-task-meta-<id> webhook:<id> undelivered steps:<thread>
--        <queue>; channel wake:<id>
-- ARGV   id previous branch queue question options stream reply fingerprint
-- RETURN accepted place session | again state place session | conflict | unknown | unended | full_session | full
local now = clock()

local seen, state, stands_in, its_queue = unpack(redis.call('HMGET', key.turn .. id, 'fingerprint', 'state', 'session', 'queue'))
if seen and stands_in and is_erased(id, stands_in, state) then
  remove_turns({ id })
elseif seen then
  if seen ~= fingerprint then return { 'conflict' } end
  return { 'again', state, find_place(id, stands_in, state, its_queue, now), stands_in }
end
local session, finished, length, its_state = unpack(redis.call('HMGET', key.turn .. previous,
  'session', 'finished', 'history_length', 'state'))
local ended = tonumber(finished)
if not session or is_erased(previous, session, its_state) then return { 'unknown' } end

local history = key.history .. session
local last = redis.call('LINDEX', key.mailbox .. session, -1) or redis.call('HGET', key.session .. session, 'head')
if last and last ~= previous and not ended then return { 'unended' } end
if redis.call('LLEN', key.mailbox .. session) >= rule.max_waiting_per_session then return { 'full_session' } end
if redis.call('ZCARD', key.open) >= rule.max_waiting then return { 'full' } end

local added = ended and messages_since(history, previous, ended, tonumber(length or nil)) or 0
if added > 0 or (last and last ~= previous) then
  open_branch(branch, id, history, added, now)
  session = branch
end
return { 'accepted', create_turn(id, session, queue, question, options, stream, reply, fingerprint, now), session }
