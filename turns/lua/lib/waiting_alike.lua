-- waiting_alike(session, busy, count) → text. The turns that stand next in a mailbox and are to be merged with one that is marked alike, as a stored
-- list: so many, and of so many bytes, as one turn takes that has `count` already.
local function waiting_alike(session, busy, count)
  local found, size = {}, 0
  for _, other in ipairs(count < rule.most_merged and redis.call('LRANGE', key.mailbox .. session, 0, rule.most_merged - count - 1) or {}) do
    local state, its = unpack(redis.call('HMGET', key.turn .. other, 'state', 'busy'))
    size = size + redis.call('HSTRLEN', key.turn .. other, 'question') + redis.call('HSTRLEN', key.turn .. other, 'options')
    if state ~= 'queued' or its ~= busy or size > rule.branch_bytes then break end
    found[#found + 1] = other
  end
  return table.concat(found, '\30')
end
