-- Forget a session: history, turns, events, results. Whatever still runs for it finds no owner. Turns that are open are cancelled
-- first, so that none runs should this be cut short; a repeat takes the rest. Keys of another type go, too.
-- FLAGS  allow-oom
-- KEYS   turns:<session> session:<session> mailbox:<session> turn:<id>… events:<id>… owned:<worker> due stats failed open
--        message_store:<session> conversation:<session> celery-task-meta-<id>… webhook:<id>…
--        undelivered; channels orders:<worker> wake:<id>
-- ARGV   session
-- RETURN turns messages: how many of each are gone
local session, now = ARGV[1], clock()
local home, mailbox, turns, history = key.session .. session, key.mailbox .. session, key.turns .. session, key.history .. session

local function sound(reply)
  if not reply.err then return reply end
  return reply.err:find('WRONGTYPE', 1, true) and {} or error(reply.err)
end
local ids = sound(redis.pcall('ZRANGE', turns, 0, -1))
for _, id in ipairs(sound(redis.pcall('LRANGE', mailbox, 0, -1))) do ids[#ids + 1] = id end
local seat = sound(redis.pcall('HMGET', home, 'head', 'worker'))
if seat[1] then ids[#ids + 1] = seat[1] end

for _, id in ipairs(ids) do
  local known = sound(redis.pcall('HMGET', key.turn .. id, 'state', 'reply'))
  if known[1] == 'queued' or known[1] == 'running' then
    redis.call('HSET', key.turn .. id, 'state', 'cancelled', 'finished', now, 'owed', '0')
    redis.call('HINCRBY', key.stats, 'cancelled', 1)
    if known[2] == '1' then celery_result(id, 'cancelled', {}) end
  end
end
if seat[2] then
  redis.call('PUBLISH', key.orders .. seat[2], seat[1])
  redis.call('SREM', key.owned .. seat[2], session)
end

local gone, messages = 0, history_readable(session) and redis.call('LLEN', history) or 0
for _, id in ipairs(ids) do
  redis.call('DEL', key.events .. id, key.celery_result .. id, key.webhook .. id)
  redis.call('ZREM', key.open, id)
  redis.call('ZREM', key.failed, id)
  redis.call('ZREM', key.undelivered, id)
  gone = gone + redis.call('DEL', key.turn .. id)
  redis.call('PUBLISH', key.wake .. id, 'erased')
end
redis.call('DEL', history, home, mailbox, key.conversation .. session)
redis.call('ZREM', key.due, session)
-- The list of its turns goes last: a repeat finds by it what is left.
redis.call('DEL', turns)
return { gone, messages }
