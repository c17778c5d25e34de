-- branch_fits(branch, bytes, most) → boolean. Return whether a branch that copies so many bytes has room in what all of its tenant's may take, and
-- note it. At the limit, 500 of those that are noted are looked at, others each time: what has expired makes room.
local function branch_fits(branch, bytes, most)
  local branches = key.branches .. tenant_of(branch)
  local function is_full()
    local total, before = unpack(redis.call('HMGET', branches, '', branch))
    return (tonumber(total) or 0) - (tonumber(before) or 0) + bytes > most
  end
  if is_full() then
    for _, other in ipairs(redis.call('HRANDFIELD', branches, 500)) do
      if other ~= '' and redis.call('EXISTS', key.history .. other, key.conversation .. other, key.session .. other) == 0 then
        charge_branch(other, 0)
      end
    end
    if is_full() then return false end
  end
  charge_branch(branch, bytes)
  return true
end
