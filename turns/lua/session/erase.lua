-- Forget a session: history, turns, events, results. Whatever still runs for it finds no owner. Turns that are open are cancelled
-- first, so that none runs should this be cut short; a repeat takes the rest. Keys of another type go, too.
-- FLAGS  allow-oom
-- KEYS   turns:<session> session:<session> mailbox:<session> turn:<id>… events:<id>… owned:<worker> due stats failed open
--        message_store:<session> conversation:<session> celery-task-meta-<id>… webhook:<id>…
--        undelivered steps:<thread>; channels orders:<worker> wake:<id>
-- ARGV   session
-- RETURN turns messages: how many of each are gone
local session_key, mailbox, turns, now = key.session .. session, key.mailbox .. session, key.turns .. session, clock()
local history = key.history .. session

local function sound(reply)
  if not reply.err then return reply end
  return reply.err:find('WRONGTYPE', 1, true) and {} or error(reply.err)
end
local ids = sound(redis.pcall('ZRANGE', turns, 0, -1))
for _, id in ipairs(sound(redis.pcall('LRANGE', mailbox, 0, -1))) do ids[#ids + 1] = id end
local head, worker = unpack(sound(redis.pcall('HMGET', session_key, 'head', 'worker')))
if head then ids[#ids + 1] = head end

for _, id in ipairs(ids) do
  local state, reply = unpack(sound(redis.pcall('HMGET', key.turn .. id, 'state', 'reply')))
  if state == 'queued' or state == 'running' then
    redis.call('HSET', key.turn .. id, 'state', 'cancelled', 'finished', now, 'owed', '0')
    redis.call('HINCRBY', key.stats, 'cancelled', 1)
    if reply == '1' then celery_result(id, 'cancelled', {}) end
  end
end
if worker then
  redis.call('PUBLISH', key.orders .. worker, head)
  redis.call('SREM', key.owned .. worker, session)
end

local gone, messages = 0, history_readable(session) and redis.call('LLEN', history) or 0
for _, id in ipairs(ids) do
  redis.call('DEL', key.events .. id, key.celery_result .. id, key.webhook .. id, key.steps .. id)
  redis.call('ZREM', key.open, id)
  redis.call('ZREM', key.failed, id)
  redis.call('ZREM', key.undelivered, id)
  gone = gone + redis.call('DEL', key.turn .. id)
  redis.call('PUBLISH', key.wake .. id, 'erased')
end
redis.call('DEL', history, session_key, mailbox, key.conversation .. session)
redis.call('ZREM', key.due, session)
-- The list of its turns goes last: a repeat finds by it what is left.
redis.call('DEL', turns)
return { gone, messages }
