-- Take a webhook to deliver it now: the one that was sent off, or, without an `id`, the first in a line; each key that has one is served in
-- turn. One that was sent off, but for whose key there is no place, stands in its line. Should nothing be heard of a delivery, it is
-- made again.
-- FLAGS  allow-oom
-- WORK   2,000 steps: 20 lines, and 100 webhooks that are no more
-- KEYS   webhook:<id>… webhooks webhook_lines webhook_line:<key>…
-- ARGV   id full…: the keys for which there is no place; `*`: there is none for any
-- RETURN taken turn event type created url key attempt calls | stale
local now, is_full = clock(), {}
for _, its in ipairs(full) do is_full[its] = true end

local function take(turn)
  local webhook = key.webhook .. turn
  local event, event_type, created, url, its, attempts, calls = unpack(redis.call('HMGET', webhook, 'event', 'type', 'created', 'url', 'key',
    'attempts', 'calls'))
  redis.call('ZADD', key.webhooks, now + rule.delivery, turn)
  redis.call('HSET', webhook, 'phase', 'taken', 'attempts', attempts + 1)
  redis.call('ZREM', key.webhook_line .. its, turn)
  return { 'taken', turn, event, event_type, created, url, its, attempts + 1, calls or '' }
end

if id ~= '' then
  local phase, its = unpack(redis.call('HMGET', key.webhook .. id, 'phase', 'key'))
  if phase ~= 'sent' then return { 'stale' } end
  if not (is_full['*'] or is_full[its]) then return take(id) end
  stand_for_delivery(id, its, now)
  return { 'stale' }
end
local gone, last = 0, redis.call('ZRANGE', key.webhook_lines, -1, -1, 'WITHSCORES')[2]
for _, its in ipairs(redis.call('ZRANGE', key.webhook_lines, 0, 19)) do
  while not is_full[its] and gone < 100 do
    local turn = redis.call('ZRANGE', key.webhook_line .. its, 0, 0)[1]
    if not turn then
      redis.call('ZREM', key.webhook_lines, its)
      break
    end
    local phase, owner = unpack(redis.call('HMGET', key.webhook .. turn, 'phase', 'key'))
    if owner == its and (phase == 'ready' or phase == 'sent') then
      redis.call('ZADD', key.webhook_lines, last + 1, its)
      return take(turn)
    end
    redis.call('ZREM', key.webhook_line .. its, turn)
    gone = gone + 1
  end
end
return { 'stale' }
