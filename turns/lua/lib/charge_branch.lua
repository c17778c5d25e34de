-- charge_branch(session, bytes). Note how many bytes a branch has copied, of what its tenant may store; 0: it is gone. One write changes the entry
-- and the sum, so the sum is that of the entries whatever is cut short.
local function charge_branch(session, bytes)
  local branches = key.branches .. tenant_of(session)
  local total, before = unpack(redis.call('HMGET', branches, '', session))
  if bytes == 0 and not before then return end
  total = (tonumber(total) or 0) - (tonumber(before) or 0) + bytes
  if total <= 0 then
    redis.call('UNLINK', branches)
  else
    redis.call('HSET', branches, '', total, session, bytes)
    if bytes == 0 then redis.call('HDEL', branches, session) end
    redis.call('PEXPIRE', branches, math.max(rule.history_ttl, rule.branch_ttl))
  end
end
