-- stand_for_delivery(id, its, now). A webhook stands in the line of its key, `its`, until a worker has a place for it; it is looked at again
-- after an hour, should its place be lost. A key that comes anew has its turn after those that are there.
local function stand_for_delivery(id, its, now)
  local line = key.webhook_line .. its
  redis.call('ZADD', line, 'NX', now, id)
  if not redis.call('ZSCORE', key.webhook_lines, its) then
    local last = redis.call('ZRANGE', key.webhook_lines, -1, -1, 'WITHSCORES')
    redis.call('ZADD', key.webhook_lines, (last[2] or 0) + 1, its)
  end
  redis.call('PEXPIRE', line, rule.webhook_ttl)
  redis.call('PEXPIRE', key.webhook_lines, rule.webhook_ttl)
  redis.call('HSET', key.webhook .. id, 'phase', 'ready')
  redis.call('ZADD', key.webhooks, now + rule.webhook_look, id)
end
