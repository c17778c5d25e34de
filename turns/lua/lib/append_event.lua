-- append_event(id, kind, attempt, data, sequence) → place. Append one event to a turn's stream, after `sequence`; the caller counts
-- it. A script that was cut short has left events that no sequence counts: one of the next 100 is this one, or all are passed over.
local function append_event(id, kind, attempt, data, sequence)
  local events, place = key.events .. id, sequence + 1
  local fields = { 'type', kind, 'attempt', attempt, 'data', data }
  local added = redis.pcall('XADD', events, place .. '-0', unpack(fields))
  if type(added) ~= 'table' then return place end
  for _, left in ipairs(redis.call('XRANGE', events, place .. '-0', '+', 'COUNT', 100)) do
    if left[2][2] == kind and left[2][4] == tostring(attempt) and left[2][6] == data then return tonumber(left[1]:match('%d+')) end
  end
  local newest = redis.call('XREVRANGE', events, '+', '-', 'COUNT', 1)[1]
  local last = newest and tonumber(newest[1]:match('%d+')) or 0
  if last < place then error(added) end
  redis.call('XADD', events, (last + 1) .. '-0', unpack(fields))
  return last + 1
end
