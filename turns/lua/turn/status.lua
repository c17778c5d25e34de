-- Read a turn's record and its place: 0 at the head of its session, 1 and up behind it.
-- FLAGS  no-writes
-- KEYS   turn:<id> turns:<session> session:<session> mailbox:<session>
-- ARGV   id
-- RETURN place (field value)… | nothing for a turn that is unknown, or forgotten
local session, state = unpack(redis.call('HMGET', key.turn .. id, 'session', 'state'))
local place = 0
if not session or is_erased(id, session, state) then return {} end
if state == 'queued' and redis.call('HGET', key.session .. session, 'head') ~= id then
  place = (redis.call('LPOS', key.mailbox .. session, id) or -1) + 1
end
local record = redis.call('HGETALL', key.turn .. id)
table.insert(record, 1, place)
return record
