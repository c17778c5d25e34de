-- place_for(session, most, now) → boolean. Return whether a session is one of its tenant's conversations, or may be one more, and note it.
-- At the limit, 500 of those that are noted are looked at, others each time: what was erased or has expired makes room.
local function place_for(session, most, now)
  local kept = key.conversations .. tenant_of(session)
  if redis.call('ZSCORE', kept, session) then return true end
  local count = redis.call('ZCARD', kept)
  -- A turn that keeps nothing, or has been cancelled, makes no conversation of its session.
  if count >= most and redis.call('EXISTS', key.history .. session, key.conversation .. session) == 0 then
    local first, gone = now % math.ceil(count / 500) * 500, 0
    for _, other in ipairs(redis.call('ZRANGE', kept, first, first + 499)) do
      if redis.call('EXISTS', key.history .. other, key.conversation .. other, key.session .. other) == 0 then
        gone = gone + redis.call('ZREM', kept, other)
      end
    end
    if count - gone >= most then return false end
  end
  redis.call('ZADD', kept, now, session)
  return true
end
