-- Release a held session: its open calls get their closing elements, and the next turn goes. A repeat completes what was cut short.
-- FLAGS  allow-oom
-- WORK   100,000 steps: each of the calls of one turn is looked for among 1,000 messages
-- KEYS   session:<session> mailbox:<session> turn:<id>… turns:<session> events:<id>… held open due failed stats
--        message_store:<session> conversation:<session> celery-task-meta-<id>… webhook:<id>… webhooks webhook_lines
--        webhook_line:<key>… webhooks_of:<key>… undelivered steps:<thread> <queue> ready:<line>… rotation:<queue> batch_slots
--        parked:<queue> slots:<tenant> tenant:<tenant> tenants open_turns:<tenant> open_bytes:<tenant> budget:<model> calls:<model>
--        promised:<model> coming:<model> first_call:<kind> budgets looks workers owned:<worker>; channel wake:<id>
-- ARGV   session
-- RETURN released turn | not_held
local phase, held = unpack(redis.call('HMGET', key.session .. session, 'phase', 'held'))
if phase ~= 'held' and phase ~= 'closing' then return { 'not_held' } end
close_hold(session, clock())
return { 'released', held or '' }
