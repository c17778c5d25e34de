-- Look at sessions for what has been lost of them, by a hand from outside or by an older version: each that is not idle gets its
-- due entry back, and its turns are counted as open. Turns that have ended are counted no more: one slice of the open ones a call,
-- another each time; so with the held ones, and with what is counted of tenants. Of a mailbox, too, one slice is looked at. Tenants that
-- did nothing for 30 days are forgotten.
-- FLAGS  allow-oom
-- WORK   20,000 steps, and 11,500 for each of sessions: a slice of its mailbox
-- KEYS   session:<session>… mailbox:<session>… turn:<id>… due open held tenants open_turns:<tenant>… open_bytes:<tenant>… slots:<tenant>…
--        batch_slots stats tenant:<tenant>
-- ARGV   sessions…
-- RETURN restored: how many had no due entry
local now, restored = clock(), 0
local function unfinished(id)
  local state = redis.pcall('HGET', key.turn .. id, 'state')
  return state == 'queued' or state == 'running'
end

local function held(session)
  return redis.pcall('HGET', key.session .. session, 'phase') == 'held'
end
local function slice(size)
  local first = now % math.max(1, math.ceil(size / 1000)) * 1000
  return first, first + 999
end
local function each_of_a_slice(set, look)
  for _, member in ipairs(redis.call('ZRANGE', set, slice(redis.call('ZCARD', set)))) do look(member) end
end

each_of_a_slice(key.open, function(id)
  if not unfinished(id) then redis.call('ZREM', key.open, id) end
end)
each_of_a_slice(key.held, function(session)
  if not held(session) then redis.call('ZREM', key.held, session) end
end)
audit_tenants(now, unfinished)
for _, session in ipairs(sessions) do
  local head = redis.pcall('HGET', key.session .. session, 'head')
  local waiting = redis.pcall('LLEN', key.mailbox .. session)
  local ids = type(waiting) == 'number' and redis.call('LRANGE', key.mailbox .. session, slice(waiting)) or {}
  -- Long past: the next sweep looks at it, and drops it again should the session have fallen idle.
  if head then restored = restored + redis.call('ZADD', key.due, 'NX', 1, session) end
  if held(session) then redis.call('ZADD', key.held, 'NX', now, session) end
  if type(head) == 'string' then ids[#ids + 1] = head end
  for _, id in ipairs(ids) do
    if unfinished(id) then
      redis.call('ZADD', key.open, 'NX', now, id)
      count_unfinished(session, id, now, asked_bytes(id))
    end
  end
end
return restored
