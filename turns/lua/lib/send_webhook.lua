-- send_webhook(id, now). Put the Celery message that delivers a turn's webhook on its queue, and look again after the grace.
local function send_webhook(id, now)
  local webhook, queue = key.webhook .. id, rule.webhook_queue
  redis.call('ZADD', key.webhooks, now + rule.grace, id)
  local sent = redis.call('HINCRBY', webhook, 'sent', 1)
  local name = redis.call('HGET', webhook, 'event') .. '-' .. sent
  redis.call('HSET', webhook, 'phase', 'sent')
  local names = { id = name, turn = id, queue = queue, tag = name }
  redis.call('LPUSH', key.queue .. queue, rule.webhook_message)
end
