-- append_event(id, kind, attempt, data, sequence) → place. Append one event to a turn's stream, after `sequence`; the caller counts
-- it. A script that was cut short has left events that no sequence counts: one is this one, or is passed over.
local function append_event(id, kind, attempt, data, sequence)
  local events, place = key.events .. id, sequence + 1
  while true do
    local added = redis.pcall('XADD', events, place .. '-0', 'type', kind, 'attempt', attempt, 'data', data)
    if type(added) ~= 'table' then return place end
    local left = redis.call('XRANGE', events, place .. '-0', place .. '-0')[1]
    if not left then error(added) end
    if left[2][2] == kind and left[2][4] == tostring(attempt) and left[2][6] == data then return place end
    place = place + 1
  end
end
