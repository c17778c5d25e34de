-- announce(id, now, state). A turn's end that a webhook is to be told of is noted down, and sent off, in the API's words:
-- what a content filter stopped is incomplete.
local function announce(id, now, state)
  local known = redis.call('HMGET', key.turn .. id, 'options', 'sequence', 'code')
  local options, job = known[1] or '', key.webhook .. id
  if not options:find('"webhook":', 1, true) then return end
  local read, chosen = pcall(cjson.decode, options)
  local hook = read and chosen.webhook
  if type(hook) ~= 'table' or not hook.url then return end
  if known[3] == 'content_filter' then state = 'incomplete' end
  redis.call('DEL', job)
  redis.call('HSET', job, 'event', 'evt_' .. id .. '_' .. known[2], 'type', 'response.' .. state, 'created', now, 'since', now,
    'url', hook.url, 'key', hook.key or '', 'attempts', 0)
  redis.call('PEXPIRE', job, rule.webhook_ttl)
  redis.call('ZREM', key.undelivered, id)
  post(id, now)
end
