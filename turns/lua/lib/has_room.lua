-- has_room(other, id, session) → boolean. Whether turn `other` can take turn `id`, which steers it, beside those that it has taken and those that
-- steer it and wait; true for one of these.
local function has_room(other, id, session)
  local waiting, count, size = waiting_alike(other, session, 'steer', redis.call('HGET', key.turn .. other, 'members') or '')
  for name in each_name(waiting) do
    if name == id then return true end
  end
  return count < rule.most_merged and size + asked_bytes(id) <= rule.branch_bytes
end
