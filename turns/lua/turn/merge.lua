-- Merge what waits: the questions that stand next behind a running turn, and came to be merged, become part of it; only the owner may.
-- From then on they run and end with it. A turn does so once, at its first attempt, since all are to be asked the same; a repeat
-- tells the same, and completes what was cut short. Questions that steer it are taken at any time, if the owner can ask anew.
-- FLAGS  allow-oom
-- WORK   2,000 steps: 50 turns are merged
-- KEYS   turn:<id>… session:<session> mailbox:<session> events:<id>…; channel wake:<id>
-- ARGV   id token steers: 1 to take questions that steer the turn
-- RETURN merged (question options)…: those of the others, in order | superseded
local turn, now = key.turn .. id, clock()
local session, attempts, busy, members = unpack(redis.call('HMGET', turn, 'session', 'attempts', 'busy', 'members'))
if not owns(id, token) then return { 'superseded' } end
local settled = members
if not members then members = (busy or ''):find('^merge ') and waiting_alike(session, busy, 0) or '' end
if steers == '1' then
  local _, count = members:gsub('[^\30]+', '')
  local more = waiting_alike(session, 'steer', count)
  if more ~= '' then members = members .. '\30' .. more end
end
if members ~= settled then redis.call('HSET', turn, 'members', members) end

local reply = { 'merged' }
for member in each_name(members) do
  local record = key.turn .. member
  local state, question, options, merged = unpack(redis.call('HMGET', record, 'state', 'question', 'options', 'merged'))
  if state == 'queued' and not merged then
    redis.call('HSET', record, 'state', 'running', 'merged', id, 'started', now, 'attempts', attempts, 'sequence', 1)
    state, merged = 'running', id
  end
  if state == 'running' and merged == id then
    if redis.call('LINDEX', key.mailbox .. session, 0) == member then redis.call('LPOP', key.mailbox .. session) end
    append_event(member, 'merged', 0, id, 0)
    redis.call('PUBLISH', key.wake .. member, 'merged')
    reply[#reply + 1], reply[#reply + 2] = question, options
  end
end
return reply
