-- Keep many leases at once: one call for all turns of a process.
-- FLAGS  allow-oom
-- WORK   20 steps, and 25 for each of ids
-- KEYS   session:<session>… turn:<id>… owned:<worker> due
-- ARGV   worker (sessions ids tokens)…
-- RETURN kept | interrupted | cancelled | lost, one word for each turn, in order
local now, words = clock(), {}
local owned = key.owned .. worker
for i, id in ipairs(ids) do
  local session, token = sessions[i], tokens[i]
  local session_key = key.session .. session
  local word = 'lost'
  -- Reads as the sweep does: a right whose loss stops us stops it, too. Other errors are that one turn's.
  local holder, turn = redis.pcall('HMGET', session_key, 'head', 'owner'), redis.pcall('HMGET', key.turn .. id, 'state', 'busy')
  if lacks_right(holder) or lacks_right(turn) then error(holder.err and holder or turn) end
  local state = turn[1]
  if holder[1] == id and holder[2] == token and state == 'running' then
    redis.call('HSET', session_key, 'lease', now + rule.lease)
    redis.call('ZADD', key.due, now + rule.lease, session)
    word = 'kept'
    if turn[2] == 'interrupt' then word = 'interrupted' end
  elseif state == 'cancelled' then
    word = 'cancelled'
  end
  words[i] = word
end
redis.call('PEXPIRE', owned, rule.owned_ttl)
return words
