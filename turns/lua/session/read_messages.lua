-- Read messages of a history from a place on, towards newer ones (step 1) or older ones (-1), the first in any case; places count
-- from 0, the oldest's. Beyond `bytes`, eight messages or 8 MiB are read at most.
-- FLAGS  no-writes
-- WORK   20 steps, and 3 for each of count
-- KEYS   message_store:<session> conversation:<session>
-- ARGV   session place step count bytes
-- RETURN element…
local history = key.history .. session
local length = redis.call('LLEN', history)
if tonumber(place) >= length then return {} end
local found = read_within(session, length - 1 - place, -step, tonumber(count), tonumber(bytes), 1)
return found.err and error(found) or found
