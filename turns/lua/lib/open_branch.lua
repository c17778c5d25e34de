-- open_branch(branch, id, history, added, now). Begin a session with the newest messages of a history but for the last `added`: as many
-- as a window holds. It lives as long as histories do, or for a limited time; due first, so that one that is cut off here is found.
local function open_branch(branch, id, history, added, now)
  local copy, left = key.history .. branch, rule.branch_bytes
  redis.call('ZADD', key.due, now + rule.grace, branch)
  redis.call('HSET', key.conversation .. branch, 'branch', id, 'created', now)
  redis.call('UNLINK', copy)
  for place = added, added + rule.branch_messages - 1, 10 do
    local last = math.min(place + 9, added + rule.branch_messages - 1)
    for _, element in ipairs(redis.call('LRANGE', history, place, last)) do
      left = left - #element
      if left < 0 then return end
      redis.call('RPUSH', copy, element)
    end
  end
end
