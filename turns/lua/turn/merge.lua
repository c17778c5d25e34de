-- Merge what waits: the questions that stand next behind a running turn, and came to be merged, become part of it; only the owner may.
-- From then on they run and end with it. A turn does so once, at its first attempt, since all are to be asked the same; a repeat
-- tells the same, and completes what was cut short. Questions that steer it are taken whenever the owner has a place for them.
-- FLAGS  allow-oom
-- WORK   2,000 steps: 50 turns are merged
-- KEYS   turn:<id>… session:<session> mailbox:<session> events:<id>…; channel wake:<id>
-- ARGV   id token steers: 1 to take questions that steer the turn
-- RETURN merged (id question options steers)…: those of the others, in order; 1 for one that steers the turn | superseded
local turn, now = key.turn .. id, clock()
local session, attempts, busy, members = unpack(redis.call('HMGET', turn, 'session', 'attempts', 'busy', 'members'))
if not owns(id, token) then return { 'superseded' } end
local settled = members
if not members then members = (busy or ''):find('^merge ') and waiting_alike(id, session, busy, '') or '' end
if steers == '1' then
  local more = waiting_alike(id, session, 'steer', members)
  if more ~= '' then members = members .. '\30' .. more end
end
if members ~= settled then redis.call('HSET', turn, 'members', members) end

local reply = { 'merged' }
for member in each_name(members) do
  local record = key.turn .. member
  local state, question, options, merged, its = unpack(redis.call('HMGET', record, 'state', 'question', 'options', 'merged', 'busy'))
  if state == 'queued' and not merged then
    redis.call('HSET', record, 'state', 'running', 'merged', id, 'started', now, 'attempts', attempts, 'sequence', 1)
    state, merged = 'running', id
  end
  if state == 'running' and merged == id then
    if redis.call('LINDEX', key.mailbox .. session, 0) == member then redis.call('LPOP', key.mailbox .. session) end
    append_event(member, 'merged', 0, id, 0)
    redis.call('PUBLISH', key.wake .. member, 'merged')
    for _, told in ipairs({ member, question, options, its == 'steer' and 1 or 0 }) do reply[#reply + 1] = told end
  end
end
return reply
