-- note(id, kind, attempt, data, sequence) → sequence. Append one event to a turn's stream, after `sequence`, and wake its readers.
-- A script that was cut short between the two writes has left an event that no sequence counts: it is counted now.
local function note(id, kind, attempt, data, sequence)
  local events, place = key.events .. id, sequence + 1
  local function add() return redis.pcall('XADD', events, place .. '-0', 'type', kind, 'attempt', attempt, 'data', data) end
  local added = add()
  if type(added) == 'table' then
    local left = redis.call('XREVRANGE', events, '+', '-', 'COUNT', 1)[1]
    if not left or left[1] ~= place .. '-0' then error(added.err) end
    if left[2][2] ~= kind or left[2][4] ~= tostring(attempt) or left[2][6] ~= data then
      place = place + 1
      add()
    end
  end
  redis.call('HSET', key.turn .. id, 'sequence', place)
  redis.call('PUBLISH', key.wake .. id, kind)
  return place
end
