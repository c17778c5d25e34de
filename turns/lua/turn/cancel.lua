-- Cancel a turn: one that waits leaves the mailbox; one that runs is fenced, its worker told, and the session moves on.
-- The calls that it was to answer are closed. One that was merged with another is cancelled with that. One that is to be asked
-- later is not asked, and leaves nothing. `keep`: one that has been at work ends with what it has said so far, as `incomplete`.
-- FLAGS  allow-oom
-- WORK   22,000 steps: a mailbox is read twice
-- KEYS   turn:<id> turns:<session> session:<session> mailbox:<session> owned:<worker> due stats failed open events:<id>
--        webhook:<id> webhooks webhook_lines webhook_line:<key> webhooks_of:<key> undelivered message_store:<session>
--        conversation:<session> celery-task-meta-<id> held <queue> ready:<line>… rotation:<queue> steps:<thread> batch_slots
--        parked:<queue> slots:<tenant> tenant:<tenant> tenants open_turns:<tenant> open_bytes:<tenant> budget:<model> calls:<model>
--        promised:<model> coming:<model> first_call:<kind> budgets looks schedule:<schedule> schedules:<tenant> scheduled_bytes:<tenant>
--        schedules_due workers; channels orders:<worker> wake:<id>
-- ARGV   id revoked keep
-- RETURN cancelled | ending state | ended state | unknown
local turn, now = key.turn .. id, clock()
local session, state, queue, merged, attempts = unpack(redis.call('HMGET', turn, 'session', 'state', 'queue', 'merged', 'attempts'))
if not session or is_erased(id, session, state) then
  local later = scheduled_turn(id, 'none')
  if not later then return { 'unknown' } end
  drop_schedule(later[2] .. ' ' .. id, later[2], id)
  redis.call('PUBLISH', key.wake .. id, 'erased')
  return { 'cancelled' }
end
if merged and state == 'running' then id, state = merged, redis.call('HGET', key.turn .. merged, 'state') end
if state ~= 'queued' and state ~= 'running' then
  leave_mailbox(session, id)
  complete_and_release(id, session, now)
  return { 'ended', state }
end

local fields = { revoked = revoked ~= '' and revoked or nil }
if redis.call('HGET', key.session .. session, 'head') == id then
  if keep == '1' and tonumber(attempts) > 0 then
    interrupt_head(id, session, now, queue)
    return { 'ending', state }
  end
  cancel_head(id, session, now, queue, fields)
else
  end_turn(id, session, now, 'cancelled', fields, {})
  leave_mailbox(session, id)
end
return { 'cancelled' }
