-- Read results of a batch from a line on, until they take 256 KiB, and say with which line the next call begins.
-- FLAGS  no-writes
-- WORK   4,000 steps: 1,000 lines are looked at
-- KEYS   results:<file>
-- ARGV   file first last
-- RETURN read next result…
local reply = { 'read', 0 }
local results, bytes, number = key.results .. file, 0, tonumber(first)
local stop = math.min(tonumber(last), number + 999)
while number <= stop and bytes < 262144 do
  local result = redis.call('HGET', results, ('%d'):format(number))
  if result then
    reply[#reply + 1] = result
    bytes = bytes + #result
  end
  number = number + 1
end
reply[2] = number
return reply
