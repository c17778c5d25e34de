-- Ask the question of a schedule for the tick that it waits for, `tick`, and have it wait for the `next` one. The turn's id is made of
-- schedule and tick, so however often this is called, by however many workers, the question is asked once. A turn that is refused is
-- tried again after a pause, `patience` ms at first and each time twice as long, or when its quota says. The pause begins anew after
-- a turn that was accepted, and after a tick that was left out if the next one is further off. A tick whose id is taken by another
-- turn is left out.
-- WORK   36,100 steps: as `submit_held`
-- KEYS   schedule:<schedule> schedules:<tenant> scheduled_bytes:<tenant> schedules_due turn:<id>… turns:<session> session:<session> mailbox:<session>
--        due stats open held answered:<session> failed events:<id> message_store:<session> conversation:<session>
--        celery-task-meta-<id> webhook:<id> webhooks webhook_lines webhook_line:<key> webhooks_of:<key> undelivered
--        steps:<thread> <queue> ready:<line>… rotation:<queue> batch_slots parked:<queue> slots:<tenant> tenant:<tenant>
--        tenants open_turns:<tenant> open_bytes:<tenant> rate:<key> owned:<worker> conversations:<tenant> budget:<model> calls:<model>
--        promised:<model> coming:<model> first_call:<kind> budgets looks workers; channels wake:<id> orders:<worker>
-- ARGV   session schedule tick missed next noted patience: ms; `missed` is 1 for a tick that is left out; an empty `next`: it was the
--        last; `noted`: the time of which it was computed
-- RETURN asked turn | missed | refused reason | stale
local record, member, now, turn = key.schedule .. schedule, session .. ' ' .. schedule, clock(), schedule
local its = redis.call('HMGET', record, 'session', 'tick', 'cron', 'queue', 'question', 'options', 'stream', 'fingerprint', 'weight', 'quotas',
  'when_held', 'when_busy', 'pause', 'outline')
if its[1] ~= session or its[2] ~= tick then return { 'stale' } end

local paused = tonumber(its[13] or nil) or 0
local word = 'missed'
if missed ~= '1' then
  if its[3] ~= '' then turn = schedule .. '-' .. tick end
  local said = ask_turn(turn, session, its[4], its[5], its[6], its[14] or '', its[7], '', its[8], its[9], its[10], '', its[11], its[12])
  if said[1] == 'accepted' or said[1] == 'again' then
    word = 'asked'
  elseif said[1] ~= 'conflict' then
    local reason = said[2] or said[1]
    local pause = math.min(math.max(patience, 2 * paused), rule.schedule_rest)
    local wait = math.min(tonumber(said[4]) or 0, rule.schedule_rest)
    redis.call('ZADD', key.schedules_due, now + math.max(pause, wait), member)
    redis.call('HSET', record, 'refused', reason, 'pause', pause)
    return { 'refused', reason }
  end
end
if next == '' then
  drop_schedule(member, session, schedule)
else
  if word == 'asked' or next - now > paused then paused = '' end
  redis.call('HSET', record, 'tick', next, 'noted', noted, word == 'asked' and 'last' or 'left_out', tick, 'refused', '', 'pause', paused)
  redis.call('ZADD', key.schedules_due, next, member)
end
redis.call('HINCRBY', key.stats, 'ticks{outcome="' .. word .. '"}', 1)
return { word, turn }
