-- Forget a session: history, turns, events, results. Whatever still runs for it finds no owner.
-- USES   reply readable
-- FLAGS  allow-oom
-- KEYS   turns:<session> session:<session> mailbox:<session> turn:<id>… events:<id>… owned:<worker> due stats failed
--        message_store:<session> conversation:<session> celery-task-meta-<id>… webhook:<id>…
--        undelivered; channels orders:<worker> wake:<id>
-- ARGV   session
-- RETURN turns messages: how many of each are gone
local session = ARGV[1]
local home, mailbox, turns, history = key.session .. session, key.mailbox .. session, key.turns .. session, key.history .. session

local ids = redis.call('ZRANGE', turns, 0, -1)
for _, id in ipairs(redis.call('LRANGE', mailbox, 0, -1)) do ids[#ids + 1] = id end
local seat = redis.call('HMGET', home, 'head', 'worker')
if seat[1] then ids[#ids + 1] = seat[1] end
if seat[2] then
  redis.call('SREM', key.owned .. seat[2], session)
  redis.call('PUBLISH', key.orders .. seat[2], seat[1])
end

local gone = 0
for _, id in ipairs(ids) do
  local known = redis.call('HMGET', key.turn .. id, 'state', 'reply')
  if known[1] == 'queued' or known[1] == 'running' then
    if known[2] == '1' then reply(id, 'cancelled', {}) end
    redis.call('HINCRBY', key.stats, 'open', -1)
    redis.call('HINCRBY', key.stats, 'cancelled', 1)
  end
  gone = gone + redis.call('DEL', key.turn .. id)
  redis.call('DEL', key.events .. id, key.celery_result .. id, key.webhook .. id)
  redis.call('ZREM', key.failed, id)
  redis.call('ZREM', key.undelivered, id)
  redis.call('PUBLISH', key.wake .. id, 'erased')
end
local messages = readable(session) and redis.call('LLEN', history) or 0
redis.call('DEL', history, home, mailbox, turns, key.conversation .. session)
redis.call('ZREM', key.due, session)
return { gone, messages }
