-- Keep many leases at once: one call for all turns of a process.
-- FLAGS  allow-oom
-- KEYS   session:<session>… turn:<id>… owned:<worker> due
-- ARGV   worker (session id token)…
-- RETURN kept | cancelled | lost, one word for each turn, in order
local worker, now, words = ARGV[1], clock(), {}
local owned = key.owned .. worker
for i = 2, #ARGV, 3 do
  local session, id, token = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local home, turn = key.session .. session, key.turn .. id
  local word = 'lost'
  -- Reads as the sweep does: a right whose loss stops us stops it, too. Other errors are that one turn's.
  local seat, known = redis.pcall('HMGET', home, 'head', 'owner'), redis.pcall('HMGET', turn, 'state')
  if lacks_right(seat) or lacks_right(known) then error(seat.err and seat or known) end
  local state = known[1]
  if seat[1] == id and seat[2] == token and state == 'running' then
    redis.call('HSET', home, 'lease', now + rule.lease)
    redis.call('ZADD', key.due, now + rule.lease, session)
    word = 'kept'
  elseif state == 'cancelled' then
    word = 'cancelled'
  end
  words[#words + 1] = word
end
redis.call('PEXPIRE', owned, rule.owned_ttl)
return words
