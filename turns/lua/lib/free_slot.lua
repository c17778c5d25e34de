-- free_slot(session, slot). A session's head neither runs nor is dispatched any more. `slot`: the queue for which it had one, if it was counted.
local function free_slot(session, slot)
  if not slot then return end
  redis.call('SREM', key.slots .. tenant_of(session), session)
  if slot == 'batch' then redis.call('SREM', key.batch_slots, session) end
end
