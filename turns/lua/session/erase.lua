-- Forget a session: history, turns, events, results, schedules. All of it is unknown at once, and whatever still runs for it finds no owner. First
-- the list of its turns is put among the erased, from where sweeps remove what is left, should this be cut short; a repeat takes
-- the rest. Of the turns that have ended, one piece is removed now, the others by sweeps. Keys of another type go, too.
-- FLAGS  allow-oom
-- WORK   295,000 steps: 10,000 turns wait at most, and one piece of those that have ended is removed
-- KEYS   turns:<session> session:<session> mailbox:<session> turn:<id>… events:<id>… owned:<worker> due stats failed open
--        message_store:<session> conversation:<session> celery-task-meta-<id>… webhook:<id>… webhooks webhook_lines
--        webhook_line:<key>… webhooks_of:<key>… undelivered erasures erased:<number>… steps:<thread>… held answered:<session>
--        ready:<line>… rotation:<queue> <queue> batch_slots parked:<queue> slots:<tenant> tenant:<tenant> tenants
--        open_turns:<tenant> open_bytes:<tenant> conversations:<tenant> schedules:<tenant> scheduled_bytes:<tenant> schedule:<schedule>…
--        schedules_due budget:<model> calls:<model> promised:<model> coming:<model> first_call:<kind> budgets looks workers; channels orders:<worker>
--        wake:<id>
-- ARGV   session
-- RETURN turns messages: how many of each are gone; of more turns than a piece, those count too whose records had expired
local session_key, mailbox, turns, now = key.session .. session, key.mailbox .. session, key.turns .. session, clock()
local history, gone = key.history .. session, 0

local function sound(reply)
  if type(reply) ~= 'table' or not reply.err then return reply end
  return reply.err:find('WRONGTYPE', 1, true) and {} or error(reply.err)
end
local head, worker, thread, slot = unpack(sound(redis.pcall('HMGET', session_key, 'head', 'worker', 'thread', 'slot')))
local waits_for = head and redis.pcall('HGET', key.turn .. head, 'waits_for')
local standing = sound(redis.pcall('LRANGE', mailbox, 0, rule.most_waiting))
if head then standing[#standing + 1] = head end
local members = head and sound(redis.pcall('HMGET', key.turn .. head, 'members'))[1] or ''
for member in each_name(members) do standing[#standing + 1] = member end

for _, member in ipairs(schedules_of(session, rule.session_schedules)) do drop_schedule(member, session, member:sub(#session + 2)) end
local count = sound(redis.pcall('ZCARD', turns))
if type(count) == 'number' and count > 0 then
  local records = {}
  for _, id in ipairs(redis.call('ZRANGE', turns, 0, rule.piece - 1)) do records[#records + 1] = key.turn .. id end
  gone = redis.call('EXISTS', unpack(records)) + count - #records
  local number = redis.call('HINCRBY', key.stats, 'erased', 1)
  redis.call('ZADD', key.erasures, now, number)
  redis.call('RENAME', turns, key.erased .. number)
end
remove_turns(standing, session)
if worker then
  redis.call('PUBLISH', key.orders .. worker, head)
  redis.call('SREM', key.owned .. worker, session)
end

free_slot(session, slot)

local messages = history_length(session) or 0
redis.call('UNLINK', turns, history, session_key, mailbox, key.conversation .. session, key.answered .. session)
if thread then redis.call('UNLINK', key.steps .. thread) end
redis.call('ZREM', key.due, session)
redis.call('ZREM', key.held, session)
redis.call('ZREM', key.conversations .. tenant_of(session), session)
for queue in rule.queues:gmatch('%S+') do
  leave_line(session, queue)
  if type(waits_for) == 'string' then leave_line(session, queue .. '@' .. waits_for) end
end
bring_back(session, slot, now)
remove_erased()
return { gone, messages }
