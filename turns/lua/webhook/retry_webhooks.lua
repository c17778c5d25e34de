-- Look at webhooks that are overdue, at most `limit`: each stands in the line of its key from now on. The message of one that was sent off
-- then finds nothing to do.
-- FLAGS  allow-oom
-- WORK   30 steps, and 50 for each of limit
-- KEYS   webhook:<id>… webhooks webhook_lines webhook_line:<key>… webhooks_of:<key>… stats
-- ARGV   limit
-- RETURN seen lines refused: how many lines are there, and how many webhooks were ever given up because of their number
local now = clock()
local overdue = redis.call('ZRANGEBYSCORE', key.webhooks, '-inf', now, 'LIMIT', 0, limit)
for _, id in ipairs(overdue) do
  local phase, its = unpack(redis.call('HMGET', key.webhook .. id, 'phase', 'key'))
  if phase and phase ~= 'given_up' then
    stand_for_delivery(id, its or '', now)
  else
    if its then redis.call('ZREM', key.webhooks_of .. its, id) end
    redis.call('ZREM', key.webhooks, id)
  end
end
return { #overdue, redis.call('ZCARD', key.webhook_lines), tonumber(redis.call('HGET', key.stats, 'webhooks_too_many') or 0) }
