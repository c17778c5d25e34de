-- bring_back(session, slot, now). A slot of a session's tenant is free: its lines go round again, should they have been parked. A single
-- slot that falls free has no dispatch standing before it: the next turn goes now.
local function bring_back(session, slot, now)
  local single = redis.call('HGET', key.stats, 'slots') == '1'
  if not slot and not single then return end
  for queue in rule.queues:gmatch('%S+') do
    local back = slot and unpark(tenant_of(session), queue)
    if back or single or queue == slot and queue == 'batch' then send_ready(queue, 1, now) end
  end
end
