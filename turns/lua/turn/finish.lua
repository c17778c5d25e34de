-- End a turn: record, history, final event, counters, and the release of the next turn, all in one; only the owner may.
-- A repeat by the same owner gets the first outcome again, and completes what was cut short.
-- FLAGS  allow-oom
-- KEYS   turn:<id> turns:<session> session:<session> mailbox:<session> owned:<worker> due stats failed open
--        events:<id> message_store:<session> conversation:<session> celery-task-meta-<id> webhook:<id> webhooks
--        undelivered <queue>; channel wake:<id>
-- ARGV   id token state answer output usage model code message after text (history element)…
-- RETURN finished state | replay state | superseded | unreadable
local id, token, state, answer, output, usage, model, code, message, after, text = unpack(ARGV, 1, 11)
local now = clock()
local known = redis.call('HMGET', key.turn .. id, 'session', 'state', 'closed', 'sequence', 'attempts', 'reply', 'options')
local session = known[1]
if not session then return { 'superseded' } end
if known[3] == token then
  complete_and_release(id, session, now)
  return { 'replay', known[2] }
end
local seat = redis.call('HMGET', key.session .. session, 'head', 'owner', 'worker')
if known[2] ~= 'running' or seat[1] ~= id or seat[2] ~= token then return { 'superseded' } end
if #ARGV > 11 and not history_readable(session) then return { 'unreadable' } end

local fields = { closed = token }
if answer ~= '' then fields.answer = answer end
if output ~= '' then fields.output = output end
if usage ~= '' then fields.usage = usage end
if model ~= '' then fields.model = model end
if code ~= '' then fields.code, fields.message = code, message end
local rest = text ~= '' and (known[4] or '0') == after and text or nil
-- Lua unpacks 8,000 at most.
local elements = {}
for i = 12, #ARGV do elements[#elements + 1] = ARGV[i] end
end_turn(id, session, now, state, fields, elements, rest, { unpack(known, 4) })
redis.call('SREM', key.owned .. seat[3], session)
release(session, now)
return { 'finished', state }
