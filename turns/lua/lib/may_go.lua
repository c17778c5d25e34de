-- may_go(session, queue, now) → boolean, boolean. Return whether there is room for a session's head on its queue and a slot for its tenant,
-- and whether that slot is counted.
local function may_go(session, queue, now)
  local room, slots, counted = room_on(queue, 0)
  local tenant = tenant_of(session)
  counted = counted or tenant ~= ''
  return room > 0 and (not counted or slots_left(tenant, slots, now) > 0), counted
end
