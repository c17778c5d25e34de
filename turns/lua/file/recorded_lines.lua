-- Say how many results a file of a batch has, and which of some lines have one.
-- FLAGS  no-writes
-- WORK   4,000 steps: 1,000 lines are looked at
-- KEYS   results:<file>
-- ARGV   file first last: 1,000 lines at most
-- RETURN found count line…
local results = key.results .. file
local reply = { 'found', math.max(0, redis.call('HLEN', results) - 1) }
for number = first, math.min(last, first + 999) do
  if redis.call('HEXISTS', results, ('%d'):format(number)) == 1 then reply[#reply + 1] = number end
end
return reply
