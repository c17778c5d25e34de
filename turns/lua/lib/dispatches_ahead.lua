-- dispatches_ahead(queue, sent) → count. How many dispatches stood before this one when the newest claim was made.
local function dispatches_ahead(queue, sent)
  return math.max(0, sent - (redis.call('HGET', key.stats, 'passed:' .. queue) or 0))
end
