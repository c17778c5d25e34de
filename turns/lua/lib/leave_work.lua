-- leave_work(tenant, batch, now). Take a batch that has ended, or is there no more, out of the work; its tenant's next one comes.
local function leave_work(tenant, batch, now)
  redis.call('ZREM', key.unfinished .. tenant, batch)
  admit_batches(tenant, now)
  redis.call('ZREM', key.batches_due, tenant .. '/' .. batch)
end
