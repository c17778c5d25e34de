-- Append pieces of the answer to a turn's stream; only the owner may. `after` is the sequence that the owner saw last, so a
-- repeat of a call whose reply was lost appends nothing twice.
-- USES   note
-- KEYS   turn:<id> session:<session> events:<id>; channel wake:<id>
-- ARGV   id token after text…
-- RETURN emitted sequence | superseded
local id, token, after = ARGV[1], ARGV[2], tonumber(ARGV[3])
local known = redis.call('HMGET', key.turn .. id, 'session', 'sequence', 'attempts')
if not known[1] or redis.call('HGET', key.session .. known[1], 'owner') ~= token then return { 'superseded' } end

local sequence = tonumber(known[2] or 0)
if sequence == after then
  for i = 4, #ARGV do sequence = note(id, 'text', known[3], ARGV[i]) end
end
return { 'emitted', sequence }
