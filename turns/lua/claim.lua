-- Take a dispatched turn: it runs, under a lease and a fresh owner token, and its question and history window come back.
-- A repeat with the same nonce gets the first reply again. The head that has ended already makes room for the next turn.
-- USES   clock readable note ahead occupy send dispatch append reply post announce fulfil settled keep release complete
-- FLAGS  allow-oom
-- KEYS   turn:<id> turns:<session> session:<session> mailbox:<session> owned:<worker> due stats failed open events:<id>
--        message_store:<session> conversation:<session> webhook:<id> webhooks undelivered celery-task-meta-<id>
--        <queue>; channel wake:<id>
-- ARGV   id worker nonce window
-- RETURN claimed session token attempt attempts_left sequence question options stream created started now
--        readable window… | stale | unknown
local id, worker, nonce, window = unpack(ARGV)
local turn, owned, now = key.turn .. id, key.owned .. worker, clock()

local known = redis.call('HMGET', turn, 'session', 'queue', 'attempts', 'forgiven', 'stream', 'dispatches', 'state', 'started', 'sequence')
local session, queue, state = known[1], known[2], known[7]
if not session then return { 'unknown' } end
local home = key.session .. session
local seat = redis.call('HMGET', home, 'head', 'phase', 'sent', 'owner')
if seat[1] ~= id then return { 'stale' } end
if state ~= 'queued' and state ~= 'running' then
  complete(id, session, now)
  return { 'stale' }
end

local again = seat[2] == 'running' and seat[4] == known[3] .. ':' .. nonce
if seat[2] ~= 'dispatched' and not again then return { 'stale' } end

local attempt = tonumber(known[3])
if not again then
  attempt = attempt + 1
  -- An attempt is counted before it begins: a question that kills workers must not do so for ever.
  redis.call('HSET', turn, 'state', 'running', 'attempts', attempt, 'started', known[8] or now)
  redis.call('ZADD', key.due, now + rule.lease, session)
  redis.call('HSET', home, 'phase', 'running', 'owner', attempt .. ':' .. nonce, 'lease', now + rule.lease, 'worker', worker)
  redis.call('HINCRBY', key.stats, 'claimed', 1)
  -- The queue has come as far as this dispatch, unless it is an older one of a turn that was sent again.
  if known[6] - known[3] == 1 and ahead(queue, seat[3]) > 0 then redis.call('HSET', key.stats, 'passed:' .. queue, seat[3]) end
end
redis.call('SADD', owned, session)
redis.call('PEXPIRE', owned, rule.owned_ttl)
if known[5] == '1' then
  local newest = again and redis.call('XREVRANGE', key.events .. id, '+', '-', 'COUNT', 1)[1]
  if not newest or newest[2][4] ~= known[3] then note(id, 'started', attempt, '', known[9] or 0) end
end

local record = redis.call('HMGET', turn, 'sequence', 'question', 'options', 'created', 'started')
local reply = { 'claimed', session, attempt .. ':' .. nonce, attempt, rule.max_attempts - attempt + known[4],
  record[1] or '0', record[2], record[3], known[5], record[4], record[5], now, readable(session) and 1 or 0 }
if reply[#reply] == 1 and tonumber(window) > 0 then
  for _, element in ipairs(redis.call('LRANGE', key.history .. session, 0, window - 1)) do reply[#reply + 1] = element end
end
return reply
