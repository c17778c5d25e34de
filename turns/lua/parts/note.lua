-- note(id, kind, attempt, data) → sequence. Append one event to a turn's stream and wake its readers.
local function note(id, kind, attempt, data)
  local sequence = redis.call('HINCRBY', key.turn .. id, 'sequence', 1)
  redis.call('XADD', key.events .. id, sequence .. '-0', 'type', kind, 'attempt', attempt, 'data', data)
  redis.call('PUBLISH', key.wake .. id, kind)
  return sequence
end
