-- Cancel a turn: one that waits leaves the mailbox; one that runs is fenced, its worker told, and the session moves on.
-- USES   clock note ahead dispatch keep release reply post announce settle
-- FLAGS  allow-oom
-- KEYS   turn:<id> turns:<session> session:<session> mailbox:<session> owned:<worker> due stats failed events:<id>
--        webhook:<id> webhooks undelivered message_store:<session> conversation:<session> celery-task-meta-<id> <queue>;
--        channels orders:<worker> wake:<id>
-- ARGV   id revoked
-- RETURN cancelled | ended state | unknown
local id, revoked = unpack(ARGV)
local turn, now = key.turn .. id, clock()
local known = redis.call('HMGET', turn, 'session', 'state')
local session, state = known[1], known[2]
if not session then return { 'unknown' } end
if state ~= 'queued' and state ~= 'running' then return { 'ended', state } end

local seat = redis.call('HMGET', key.session .. session, 'head', 'worker')
if seat[2] and seat[1] == id then
  redis.call('SREM', key.owned .. seat[2], session)
  redis.call('PUBLISH', key.orders .. seat[2], id)
end
settle(id, session, now, 'cancelled', { revoked = revoked ~= '' and revoked or nil })
if seat[1] == id then
  release(session, now)
else
  redis.call('LREM', key.mailbox .. session, 1, id)
end
return { 'cancelled' }
