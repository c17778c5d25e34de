-- may_go(session, queue, known, counted, now) → boolean. Return whether a session's head may be dispatched at once: there is room on its queue,
-- nobody waits for it, and its tenant has a slot left, where they are `counted`. Where models have budgets, each is looked at first.
local function may_go(session, queue, known, counted, now)
  if known.room <= 0 or known.budgeted > now or redis.call('EXISTS', key.rotation .. queue) == 1 then return false end
  return not counted or slots_left(tenant_of(session), known.slots, now) > 0
end
