-- List a session's turns that have not ended, in the order in which they run.
-- FLAGS  no-writes
-- WORK   10,100 steps: a mailbox is read
-- KEYS   session:<session> mailbox:<session> turn:<id>
-- ARGV   session limit
-- RETURN id…
local head = redis.call('HGET', key.session .. session, 'head')
local state = head and redis.call('HGET', key.turn .. head, 'state')
local ids = redis.call('LRANGE', key.mailbox .. session, 0, limit - 1)
if state == 'queued' or state == 'running' then
  table.insert(ids, 1, head)
  ids[limit + 1] = nil
end
return ids
