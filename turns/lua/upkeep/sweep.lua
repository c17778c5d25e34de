-- Look at sessions that are overdue, at most `limit`, and set them going again; when the clock has been set back, at more.
-- FLAGS  allow-oom
-- KEYS   due stats open heard session:<session>… turn:<id>… mailbox:<session>… owned:<worker>… failed events:<id>…
--        webhook:<id>… webhooks undelivered message_store:<session>… conversation:<session>… celery-task-meta-<id>…
--        turns:<session>… <queue>…; channel wake:<id>
-- ARGV   limit worker: who sweeps, when it is a worker
-- RETURN seen retried redispatched recovered failed: how many of each
local limit, now, retried, redispatched, recovered, failed, broken, lacking = ARGV[1], clock(), 0, 0, 0, 0, 0, nil
local patience, _, set_back_from = outage_grace(now, ARGV[2])
local sessions, latest, empty = overdue(now, limit, set_back_from)
local function look(session)
  local seat = redis.call('HMGET', key.session .. session, 'head', 'phase', 'sent', 'lease', 'worker')
  local id, phase, lease = seat[1], seat[2], tonumber(seat[4] or 0)
  local known = redis.call('HMGET', key.turn .. (id or ''), 'session', 'attempts', 'forgiven', 'queue', 'state')
  if known[5] ~= 'queued' and known[5] ~= 'running' then
    complete_and_release(id, session, now)
  elseif phase == 'delayed' then
    retried = retried + 1
    dispatch(session, id, now, known[4])
  elseif phase == 'dispatched' then
    local before = dispatches_ahead(known[4], seat[3])
    if before == 0 or empty[known[4]] then
      redispatched = redispatched + 1
      dispatch(session, id, now, known[4])
    else
      redis.call('ZADD', key.due, now + rule.grace + before * rule.pace, session)
    end
  elseif lease > latest then
    redis.call('HSET', key.session .. session, 'lease', now + rule.lease)
    redis.call('ZADD', key.due, now + rule.lease, session)
  elseif math.max(lease, patience) > now then
    redis.call('ZADD', key.due, math.max(lease, patience), session)
  else
    if seat[5] then redis.call('SREM', key.owned .. seat[5], session) end
    if known[2] - known[3] >= rule.max_attempts then
      failed = failed + 1
      end_turn(id, session, now, 'failed', { code = 'worker_lost', message = 'Each time it was started, the turn ended its worker.' }, {})
      release(session, now)
    else
      recovered = recovered + 1
      redis.call('HSET', key.turn .. id, 'state', 'queued')
      dispatch(session, id, now, known[4])
    end
  end
end
for _, session in ipairs(sessions) do
  -- A record that somebody else has broken must not keep all others waiting.
  local looked, trouble = pcall(look, session)
  if not looked then
    broken, lacking = broken + 1, lacks_right(trouble) and trouble or lacking
    redis.call('ZADD', key.due, now + (lacks_right(trouble) and rule.grace or rule.repair), session)
  end
end
for name, count in pairs({ retried = retried, redispatched = redispatched, recovered = recovered, broken = broken }) do
  if count > 0 then redis.call('HINCRBY', key.stats, name, count) end
end
if lacking then error(lacking) end
return { #sessions, retried, redispatched, recovered, failed }
