-- Read a turn's record and its place: 0 at the head of its session, 1 and up behind it. Large content is read where it is wanted.
-- FLAGS  no-writes
-- WORK   10,200 steps: a mailbox is read
-- KEYS   turn:<id> turns:<session> session:<session> mailbox:<session> schedule:<schedule>
-- ARGV   id content: none, answer (with what the turn answered), or all (also with what was asked)
-- RETURN place (field value)… | nothing for a turn that is unknown, or forgotten. As long as its calls are open, a field
--        `held_until` tells when the time for their answers is over; `not_before` tells when a turn is asked that is to be asked later
local session, state, calls, outline, merged = unpack(redis.call('HMGET', key.turn .. id, 'session', 'state', 'calls', 'outline', 'merged'))
local place = 0
if not session or is_erased(id, session, state) then
  local later = scheduled_turn(id, content)
  return later and { 0, unpack(later) } or {}
end
if state == 'queued' and redis.call('HGET', key.session .. session, 'head') ~= id then
  place = (redis.call('LPOS', key.mailbox .. session, id, 'MAXLEN', rule.most_waiting) or -1) + 1
end
local record = read_record(id, content, outline)
if calls then
  local phase, held, ends = unpack(redis.call('HMGET', key.session .. session, 'phase', 'held', 'lease'))
  if phase == 'held' and held == (merged or id) then record[#record + 1], record[#record + 2] = 'held_until', ends end
end
table.insert(record, 1, place)
return record
