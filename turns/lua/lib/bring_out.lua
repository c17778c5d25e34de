-- bring_out(queues, free, now, stale). A dispatch has left its queue: there is room for those who wait. One that is `stale` was good for
-- nothing, and its slot is `free` as well; a single slot has then come as far as to what stands on the queue.
local function bring_out(queues, free, now, stale)
  for queue in queues:gmatch('%S+') do
    if stale and redis.call('HGET', key.stats, 'slots') == '1' then
      local sent = redis.call('HGET', key.stats, 'sent:' .. queue) or 0
      redis.call('HSET', key.stats, 'passed:' .. queue, math.max(0, sent - redis.call('LLEN', key.queue .. queue)))
    end
    send_ready(queue, free + (stale and 1 or 0), now)
  end
end
