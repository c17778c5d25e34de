-- open_branch(branch, id, session, added, now, quotas) → count. Begin a session with a window of the history of another, without the newest `added`
-- messages, and what that one begins with. It lives as long as histories do, or for a limited time. It is due first, so that one that is cut off here is found.
-- Its tenant's limit of conversations, when that is reached: then nothing is begun.
local function open_branch(branch, id, session, added, now, quotas)
  local most = quotas ~= '' and cjson.decode(quotas).conversations
  if most and not place_for(branch, most, now) then return most end
  local copy, elements = key.history .. branch, read_within(session, added, 1, rule.branch_messages, rule.branch_bytes, 0)
  if elements.err then error(elements) end
  local newest = #elements
  local between = read_opening(session, added, elements)
  redis.call('ZADD', key.due, now + rule.grace, branch)
  redis.call('HSET', key.conversation .. branch, 'branch', id, 'created', now)
  local largest, mark = unpack(redis.call('HMGET', key.conversation .. session, 'largest', 'summarised'))
  if largest then redis.call('HSET', key.conversation .. branch, 'largest', largest) end
  -- A summary goes along whose last message does, at the place that this has in the branch.
  local later = mark and newest + between - mark:match('^%d+')
  if later and later >= 0 and later < newest then
    local summary = redis.call('HGET', key.conversation .. session, 'summary')
    redis.call('HSET', key.conversation .. branch, 'summarised', #elements - later .. mark:match(' .*'), 'summary', summary)
  end
  redis.call('UNLINK', copy)
  for first = 1, #elements, 1000 do
    redis.call('RPUSH', copy, unpack(elements, first, math.min(first + 999, #elements)))
  end
end
