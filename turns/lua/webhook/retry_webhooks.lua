-- Look at webhooks that are overdue, at most `limit`: each stands in the line of its key from now on. The message of one that was sent off
-- then finds nothing to do.
-- FLAGS  allow-oom
-- WORK   30 steps, and 50 for each of limit
-- KEYS   webhook:<id>… webhooks webhook_lines webhook_line:<key>…
-- ARGV   limit
-- RETURN seen lines: how many are there
local now = clock()
local overdue = redis.call('ZRANGEBYSCORE', key.webhooks, '-inf', now, 'LIMIT', 0, limit)
for _, id in ipairs(overdue) do
  local phase, its = unpack(redis.call('HMGET', key.webhook .. id, 'phase', 'key'))
  if phase and phase ~= 'given_up' then
    stand_for_delivery(id, its or '', now)
  else
    redis.call('ZREM', key.webhooks, id)
  end
end
return { #overdue, redis.call('ZCARD', key.webhook_lines) }
