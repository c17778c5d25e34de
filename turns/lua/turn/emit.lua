-- Append pieces of the answer, all of one kind (text, refusal), to a turn's stream; only the owner may. `after` is the sequence
-- that the owner saw last, so a repeat of a call whose reply was lost appends nothing twice, and what is missing.
-- KEYS   turn:<id> session:<session> events:<id>; channel wake:<id>
-- ARGV   id token after kind data…
-- RETURN emitted sequence | superseded
local id, token, after, kind = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local known = redis.call('HMGET', key.turn .. id, 'session', 'sequence', 'attempts', 'state')
local seat = redis.call('HMGET', key.session .. (known[1] or ''), 'head', 'owner')
if known[4] ~= 'running' or seat[1] ~= id or seat[2] ~= token then return { 'superseded' } end

local sequence = tonumber(known[2] or 0)
local first = 5 + sequence - after
if first > #ARGV then return { 'emitted', sequence } end
for i = first, #ARGV do sequence = append_event(id, kind, known[3], ARGV[i], sequence) end
redis.call('HSET', key.turn .. id, 'sequence', sequence)
redis.call('PUBLISH', key.wake .. id, kind)
return { 'emitted', sequence }
