-- remove_erased() → boolean. Remove what is left of the turns of erased sessions, `rule.piece` of them at most; true: more are left.
local function remove_erased()
  local left = rule.piece
  for _, number in ipairs(redis.call('ZRANGE', key.erasures, 0, 99)) do
    local list, dead = key.erased .. number, {}
    local ids = redis.call('ZRANGE', list, 0, left - 1)
    for _, id in ipairs(ids) do
      -- The id of an erased turn may have been given to a new one.
      local session = redis.pcall('HGET', key.turn .. id, 'session')
      local known = type(session) == 'string'
      if not known or not redis.call('ZSCORE', key.turns .. session, id) then
        dead[#dead + 1] = id
        if known then drop_unfinished(tenant_of(session), { id }) end
      end
    end
    remove_turns(dead)
    if #ids > 0 then redis.call('ZREMRANGEBYRANK', list, 0, #ids - 1) end
    left = left - #ids
    if left == 0 then break end
    redis.call('ZREM', key.erasures, number)
  end
  return redis.call('EXISTS', key.erasures) == 1
end
