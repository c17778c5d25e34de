-- dispatches_ahead(queue, sent) → count. Return the number of dispatches that stood before this one at the newest claim.
local function dispatches_ahead(queue, sent)
  return math.max(0, sent - (redis.call('HGET', key.stats, 'passed:' .. queue) or 0))
end
