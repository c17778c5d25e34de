-- slots_late(model, now) → boolean. Return whether workers are late to take what was sent for slots in a model's budget. A turn that was
-- lost on its way, or cancelled, holds nobody up.
local function slots_late(model, now)
  local promised = key.promised .. model
  local oldest, sent = unpack(redis.call('ZRANGE', promised, 0, 0, 'WITHSCORES'))
  if not oldest or sent + rule.budget_late >= now then return false end
  if sent + rule.budget_lost >= now and redis.call('HGET', key.turn .. oldest, 'state') == 'queued' then return true end
  redis.call('ZREM', promised, oldest)
  return false
end
