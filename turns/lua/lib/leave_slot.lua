-- leave_slot(session, slot, now). A session's head has left its slot, which is the next one's of its tenant.
local function leave_slot(session, slot, now)
  free_slot(session, slot)
  bring_back(session, slot, now)
end
