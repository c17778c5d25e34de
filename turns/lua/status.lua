-- Read a turn's record and its place: 0 at the head of its session, 1 and up behind it.
-- FLAGS  no-writes
-- KEYS   turn:<id> mailbox:<session>
-- ARGV   id
-- RETURN place (field value)… | nothing for a turn that is unknown, or forgotten
local id = ARGV[1]
local session = redis.call('HGET', key.turn .. id, 'session')
if not session then return {} end
local record = redis.call('HGETALL', key.turn .. id)
table.insert(record, 1, (redis.call('LPOS', key.mailbox .. session, id) or -1) + 1)
return record
