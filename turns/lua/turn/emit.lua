-- Append pieces of the answer, all of one kind (text, refusal, reasoning, step, fallback), to a turn's stream; only the owner may. An empty piece
-- of the kind `started` takes the text before it back. `after` is the sequence that the owner saw last, so a repeat of a call whose
-- reply was lost appends nothing twice, and what is missing.
-- WORK   50 steps, and 800 for each of pieces: events that a cut has left are passed over
-- KEYS   turn:<id> session:<session> events:<id>; channel wake:<id>
-- ARGV   id token after kind opens pieces…: `opens` (1 or 0) tells that no text of this attempt came before
-- RETURN emitted sequence | superseded
local session, last, attempt, state = unpack(redis.call('HMGET', key.turn .. id, 'session', 'sequence', 'attempts', 'state'))
local head, owner = unpack(redis.call('HMGET', key.session .. (session or ''), 'head', 'owner'))
if state ~= 'running' or head ~= id or owner ~= token then return { 'superseded' } end

local sequence = tonumber(last or 0)
local first = 1 + sequence - after
if first > #pieces then return { 'emitted', sequence } end
for i = first, #pieces do sequence = append_event(id, kind, attempt, pieces[i], sequence) end
redis.call('HSET', key.turn .. id, 'sequence', sequence)
if opens == '1' then redis.call('HSETNX', key.turn .. id, 'first_text', clock()) end
redis.call('PUBLISH', key.wake .. id, kind)
return { 'emitted', sequence }
