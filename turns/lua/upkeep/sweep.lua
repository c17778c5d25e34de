-- Look at sessions that are overdue, at most `limit`, and set them going again; when the clock has been set back, at more.
-- FLAGS  allow-oom
-- WORK   60,000 steps, and 2,500 for each of limit: each may find room for 20 sessions that are ready; 60 may wait for each of ten models
-- KEYS   due stats open heard session:<session>… turn:<id>… mailbox:<session>… owned:<worker>… failed events:<id>…
--        webhook:<id>… webhooks webhook_lines webhook_line:<key>… webhooks_of:<key>… undelivered message_store:<session>…
--        conversation:<session>… celery-task-meta-<id>… turns:<session>… held <queue>… ready:<line>… rotation:<queue>
--        steps:<thread> batch_slots parked:<queue> slots:<tenant> tenant:<tenant> tenants open_turns:<tenant> open_bytes:<tenant> budgets looks
--        budget:<model>… calls:<model>… promised:<model>… coming:<model>… first_call:<kind>… workers; channel wake:<id>
-- ARGV   limit worker: who sweeps, when it is a worker
-- RETURN seen retried redispatched recovered failed expired (model)…: how many of each, and models whose budgets are kept
local now, retried, redispatched, recovered, from_dead, failed, expired, broken, lacking = clock(), 0, 0, 0, 0, 0, 0, 0, nil
local patience, _, set_back_from = outage_grace(now, worker)
local sessions, latest, empty = overdue(now, limit, set_back_from)
local function look(session)
  local id, phase, sent, ends, holder, held, reaped, slot = unpack(redis.call('HMGET', key.session .. session, 'head', 'phase', 'sent', 'lease', 'worker', 'held', 'reaped', 'slot'))
  local lease = tonumber(ends or 0)
  local attempts, forgiven, queue, state, waits_for = unpack(redis.call('HMGET', key.turn .. (id or ''), 'attempts', 'forgiven', 'queue', 'state', 'waits_for'))
  if phase == 'held' or phase == 'closing' then
    expired = expired + expire_hold(session, now, phase, math.max(lease, patience))
  elseif state ~= 'queued' and state ~= 'running' then
    complete_and_release(id, session, now)
  elseif phase == 'delayed' then
    retried = retried + (attempts == '0' and 0 or 1)
    make_ready(session, id, now, queue, true, slot)
  elseif phase == 'ready' then
    stay_ready(session, id, queue, now, waits_for)
  elseif phase == 'dispatched' then
    redispatched = redispatched + check_dispatch(session, id, now, queue, sent, empty[queue], slot)
  elseif lease > latest then
    redis.call('HSET', key.session .. session, 'lease', now + rule.lease)
    redis.call('ZADD', key.due, now + rule.lease, session)
  elseif math.max(lease, patience) > now then
    redis.call('ZADD', key.due, math.max(lease, patience), session)
  else
    if holder then redis.call('SREM', key.owned .. holder, session) end
    if attempts - forgiven >= rule.max_attempts then
      failed = failed + 1
      end_turn(id, session, now, 'failed', { code = 'worker_lost', message = 'Each time it was started, the turn ended its worker.' }, {})
      leave_slot(session, slot, now)
      go_on(session, id, now, 'failed', held)
    else
      recovered, from_dead = recovered + 1, from_dead + (reaped and 1 or 0)
      redis.call('HSET', key.turn .. id, 'state', 'queued')
      make_ready(session, id, now, queue, true, slot)
    end
  end
end
for _, session in ipairs(sessions) do
  -- A record that somebody else has broken must not keep all others waiting.
  local looked, failure = pcall(look, session)
  if not looked then
    broken, lacking = broken + 1, lacks_right(failure) and failure or lacking
    redis.call('ZADD', key.due, now + (lacks_right(failure) and rule.grace or rule.repair), session)
  end
end
for queue in rule.queues:gmatch('%S+') do unpark_some(queue, now) send_ready(queue, 0, now) end
for name, count in pairs({ retried = retried, redispatched = redispatched, holds_expired = expired, broken = broken, ['recovered{cause="worker_died"}'] = from_dead, ['recovered{cause="lease_expired"}'] = recovered - from_dead }) do
  if count > 0 then redis.call('HINCRBY', key.stats, name, count) end
end
return lacking and error(lacking) or { #sessions, retried, redispatched, recovered, failed, expired, unpack(serve_budgets(now)) }
