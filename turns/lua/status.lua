-- Read a turn's record and its place: 0 at the head of its session, 1 and up behind it.
-- FLAGS  no-writes
-- KEYS   turn:<id> mailbox:<session>
-- ARGV   id
-- RETURN place (field value)… | nothing for an unknown turn
local id = ARGV[1]
local record = redis.call('HGETALL', key.turn .. id)
if #record == 0 then return {} end
local session = redis.call('HGET', key.turn .. id, 'session')
table.insert(record, 1, (redis.call('LPOS', key.mailbox .. session, id) or -1) + 1)
return record
