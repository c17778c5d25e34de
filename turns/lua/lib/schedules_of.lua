-- schedules_of(session, limit) → members. Return the entries of a session's schedules, at most `limit`: its name, and that of the schedule.
local function schedules_of(session, limit)
  local all = key.schedules .. tenant_of(session)
  return redis.call('ZRANGE', all, '[' .. session .. ' ', '(' .. session .. '!', 'BYLEX', 'LIMIT', 0, limit)
end
