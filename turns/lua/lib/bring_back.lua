-- bring_back(session, slot, now). A slot of a session's tenant is free: its lines go round again, should they have been parked.
local function bring_back(session, slot, now)
  if not slot then return end
  for queue in rule.queues:gmatch('%S+') do
    if unpark(tenant_of(session), queue) or queue == slot and queue == 'batch' then send_ready(queue, 0, now) end
  end
end
