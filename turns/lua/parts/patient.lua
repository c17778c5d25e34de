-- patient(now) → ms. Until when nothing is taken from anybody. After an outage every lease has run out at once: the owners are
-- given a moment to renew, but not twice in a row, or sweeps that are always late would take nothing ever.
local function patient(now)
  local swept = tonumber(redis.call('HGET', key.stats, 'swept') or now)
  local patience = tonumber(redis.call('HGET', key.stats, 'patience') or 0)
  redis.call('HSET', key.stats, 'swept', now)
  if now - swept > rule.silence and patience < swept then
    patience = now + rule.patience
    redis.call('HSET', key.stats, 'patience', patience)
  end
  return patience
end
