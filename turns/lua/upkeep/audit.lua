-- Look at sessions for what has been lost of them, by a hand from outside or by an older version: each that is not idle gets its
-- due entry back, and its turns are counted as open. Turns that have ended are counted no more: one slice of the open ones a call,
-- another each time. Bounded by the sessions that are given, their mailboxes, and 1,000 open turns.
-- FLAGS  allow-oom
-- KEYS   session:<session>… mailbox:<session>… turn:<id>… due open
-- ARGV   sessions…
-- RETURN restored: how many had no due entry
local now, restored = clock(), 0
local function unfinished(id)
  local state = redis.pcall('HGET', key.turn .. id, 'state')
  return state == 'queued' or state == 'running'
end

local slices = math.max(1, math.ceil(redis.call('ZCARD', key.open) / 1000))
local first = now % slices * 1000
for _, id in ipairs(redis.call('ZRANGE', key.open, first, first + 999)) do
  if not unfinished(id) then redis.call('ZREM', key.open, id) end
end
for _, session in ipairs(sessions) do
  local head = redis.pcall('HGET', key.session .. session, 'head')
  local waiting = redis.pcall('LRANGE', key.mailbox .. session, 0, -1)
  local ids = waiting.err and {} or waiting
  -- Long past: the next sweep looks at it, and drops it again should the session have fallen idle.
  if head then restored = restored + redis.call('ZADD', key.due, 'NX', 1, session) end
  if type(head) == 'string' then ids[#ids + 1] = head end
  for _, id in ipairs(ids) do
    if unfinished(id) then redis.call('ZADD', key.open, 'NX', now, id) end
  end
end
return restored
