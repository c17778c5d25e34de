-- waiting_alike(session, busy, members) → text. The turns that stand next in a mailbox and are to be merged with one that is marked alike, and has
-- `members` already, as a stored list: so many, and of so many bytes, as one turn takes. Members that a script that was cut short has left there
-- are passed over.
local function waiting_alike(session, busy, members)
  local known, count, found, size = {}, 0, {}, 0
  for member in each_name(members) do known[member], count = true, count + 1 end
  for _, other in ipairs(count < rule.most_merged and redis.call('LRANGE', key.mailbox .. session, 0, rule.most_merged - 1) or {}) do
    if not known[other] then
      local state, its = unpack(redis.call('HMGET', key.turn .. other, 'state', 'busy'))
      size = size + redis.call('HSTRLEN', key.turn .. other, 'question') + redis.call('HSTRLEN', key.turn .. other, 'options')
      if state ~= 'queued' or its ~= busy or size > rule.branch_bytes or count >= rule.most_merged then break end
      found[#found + 1], count = other, count + 1
    end
  end
  return table.concat(found, '\30')
end
