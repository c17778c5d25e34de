-- End a turn: history, record, final event, counters, and the release of the next turn, all in one; only the owner may.
-- A repeat by the same owner gets the first outcome again.
-- USES   clock readable note ahead dispatch keep release reply post announce settle
-- FLAGS  allow-oom
-- KEYS   turn:<id> turns:<session> session:<session> mailbox:<session> owned:<worker> due stats failed events:<id>
--        message_store:<session> conversation:<session> celery-task-meta-<id> webhook:<id> webhooks undelivered
--        <queue>; channel wake:<id>
-- ARGV   id token state answer usage model code message after text (history element)…
-- RETURN finished state | replay state | superseded | unreadable
local id, token, state, answer, usage, model, code, message, after, text = unpack(ARGV, 1, 10)
local turn, now = key.turn .. id, clock()
local known = redis.call('HMGET', turn, 'session', 'state', 'closed', 'attempts', 'sequence')
local session = known[1]
if not session then return { 'superseded' } end
if known[3] == token then return { 'replay', known[2] } end
local home, history = key.session .. session, key.history .. session
local seat = redis.call('HMGET', home, 'head', 'owner', 'worker')
if seat[1] ~= id or seat[2] ~= token then return { 'superseded' } end
if #ARGV > 10 and not readable(session) then return { 'unreadable' } end

if text ~= '' and (known[5] or '0') == after then note(id, 'text', known[4], text) end
for i = 11, #ARGV do redis.call('LPUSH', history, ARGV[i]) end
redis.call('SREM', key.owned .. seat[3], session)

local fields = { closed = token }
if answer ~= '' then fields.answer = answer end
if usage ~= '' then fields.usage = usage end
if model ~= '' then fields.model = model end
if code ~= '' then fields.code, fields.message = code, message end
settle(id, session, now, state, fields)
release(session, now)
return { 'finished', state }
