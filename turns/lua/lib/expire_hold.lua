-- expire_hold(session, now, phase, ends) → count. Look at a held session: close its open calls when their time is over (1), or complete
-- that, or look again later. A time that is further off than any can be was told by a clock that has been set back since.
local function expire_hold(session, now, phase, ends)
  if phase == 'closing' or ends <= now then
    close_hold(session, now)
    return phase == 'held' and 1 or 0
  end
  if ends > now + math.max(rule.hold, rule.patience) then
    ends = now + rule.hold
    redis.call('HSET', key.session .. session, 'lease', ends)
  end
  redis.call('ZADD', key.due, math.min(ends, now + rule.repair), session)
  return 0
end
