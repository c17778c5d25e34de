-- measures(now) → table. Return what is there now, (name count)…: turns by phase, the longest wait of one that lacks nothing but a slot,
-- dispatches on their queues with those that are ready in lines, webhooks, and failed turns that can be retried.
local function measures(now)
  local found, running, oldest = {}, 0, 0
  local function put(name, count) found[#found + 1], found[#found + 2] = name, count end
  for _, worker in ipairs(redis.call('HRANDFIELD', key.workers, 2000)) do running = running + redis.call('SCARD', key.owned .. worker) end
  -- The first to be dispatched need not be the first that was ready, so more than the last are looked at.
  local function wait(message)
    local id = message:match('"correlation_id": "([^"]+)"') or ''
    local session = redis.call('HGET', key.turn .. id, 'session') or ''
    local head, phase, since = unpack(redis.call('HMGET', key.session .. session, 'head', 'phase', 'since'))
    return head == id and phase == 'dispatched' and since and now - since or 0
  end
  for queue in rule.queues:gmatch('%S+') do
    for _, message in ipairs(redis.call('LRANGE', key.queue .. queue, -100, -1)) do oldest = math.max(oldest, wait(message)) end
    local ready, longest = ready_on(queue, now, rule.tenants_seen)
    oldest = math.max(oldest, longest)
    put('queue:' .. queue, redis.call('LLEN', key.queue .. queue) + ready)
  end
  local sets = { open = key.open, due = key.due, held = key.held, failed = key.failed, webhooks = key.webhooks, undelivered = key.undelivered }
  for name, set in pairs(sets) do put(name, redis.call('ZCARD', set)) end
  put('running', running)
  put('oldest', oldest)
  return found
end
