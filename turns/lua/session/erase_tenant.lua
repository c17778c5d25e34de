-- Forget what a tenant has beside its sessions: its files, batches and schedules, some at a time; when none is left, what is counted of it, unless
-- turns of it are unfinished.
-- FLAGS  allow-oom
-- WORK   25,000 steps: 100 files, 100 batches and 100 schedules
-- KEYS   batches:<tenant> batch:<batch>… files:<tenant> file:<file>… pieces:<file>… results:<file>… stored:<tenant>
--        unfinished:<tenant> batches_due tenant:<tenant> tenants streams:<tenant> conversations:<tenant> open_turns:<tenant> open_bytes:<tenant>
--        slots:<tenant> schedules:<tenant> scheduled_bytes:<tenant> schedule:<schedule>… schedules_due
-- ARGV   tenant
-- RETURN files schedules: how many are gone; batches count as files
local files, schedules, now = 0, 0, clock()
for _, batch in ipairs(redis.call('ZRANGE', key.batches .. tenant, 0, 99)) do
  for _, outcome in ipairs({ 'completed', 'failed' }) do drop_stored(tenant, result_file(batch, outcome), key.files) end
  leave_work(tenant, batch, now)
  drop_stored(tenant, batch, key.batches)
  files = files + 1
end
for _, file in ipairs(redis.call('ZRANGE', key.files .. tenant, 0, 99)) do
  drop_stored(tenant, file, key.files)
  files = files + 1
end
for _, member in ipairs(redis.call('ZRANGE', key.schedules .. tenant, 0, 99)) do
  drop_schedule(member, member:match('^(%S+) (%S+)$'))
  schedules = schedules + 1
end
if files + schedules == 0 and redis.call('EXISTS', key.open_turns .. tenant, key.slots .. tenant) == 0 then
  redis.call('UNLINK', key.stored .. tenant, key.unfinished .. tenant, key.tenant .. tenant, key.streams .. tenant, key.conversations .. tenant,
    key.open_bytes .. tenant, key.scheduled_bytes .. tenant)
  redis.call('ZREM', key.tenants, tenant)
end
return { files, schedules }
