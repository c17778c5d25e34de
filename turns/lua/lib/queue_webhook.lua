-- queue_webhook(id, now, state, options, sequence, code, calls). A turn's end that a webhook is to be told of is noted down, and sent off, in
-- the API's words: what a content filter stopped is incomplete. An end that was noted already is not noted anew. `calls` (may be nil) wait for
-- somebody to answer them. Behind others of its key that wait in line there is no need of a message.
local function queue_webhook(id, now, state, options, sequence, code, calls)
  if not options:find('"webhook":', 1, true) then return end
  local read, chosen = pcall(cjson.decode, options)
  local hook = read and chosen.webhook
  if type(hook) ~= 'table' or type(hook.url) ~= 'string' then return end
  if code == 'content_filter' then state = 'incomplete' end
  local webhook, event, its = key.webhook .. id, 'evt_' .. id .. '_' .. sequence, type(hook.key) == 'string' and hook.key or ''
  if redis.call('HGET', webhook, 'event') ~= event then
    redis.call('DEL', webhook)
    redis.call('HSET', webhook, 'event', event, 'type', 'response.' .. state, 'created', now, 'since', now,
      'url', hook.url, 'key', its, 'attempts', 0, 'phase', 'noted', 'calls', calls or '')
  end
  if redis.call('HGET', webhook, 'phase') ~= 'noted' then return end
  redis.call('PEXPIRE', webhook, rule.webhook_ttl)
  redis.call('ZREM', key.undelivered, id)
  if not take_up_webhook(id, its, now) then return give_up_webhook(id, its, 'too_many', now) end
  if redis.call('EXISTS', key.webhook_line .. its) == 1 then return stand_for_delivery(id, its, now) end
  send_webhook(id, now)
end
