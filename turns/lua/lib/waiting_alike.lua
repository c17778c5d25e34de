-- waiting_alike(id, session, busy, members) → text, count, bytes. The turns that stand next in a mailbox, are marked alike, and are to be merged with turn
-- `id`, which has `members` already, as a stored list: so many, and of so many bytes, as one turn takes; and how many questions, and of how many
-- bytes, it has then. Members that a script that was cut short has left there are passed over. Of those that
-- steer, one that does not go into the history as turn `id` does is not taken: an older version may have marked it.
local function waiting_alike(id, session, busy, members)
  local known, count, found, size = {}, 1, {}, asked_bytes(id)
  local steers, kept = busy == 'steer', busy == 'steer' and is_kept(id)
  for member in each_name(members) do known[member], count, size = true, count + 1, size + asked_bytes(member) end
  for _, other in ipairs(count < rule.most_merged and redis.call('LRANGE', key.mailbox .. session, 0, rule.most_merged - 1) or {}) do
    if not known[other] then
      local state, its = unpack(redis.call('HMGET', key.turn .. other, 'state', 'busy'))
      local grown = size + asked_bytes(other)
      if state ~= 'queued' or its ~= busy or grown > rule.branch_bytes or count >= rule.most_merged
        or steers and is_kept(other) ~= kept then break end
      found[#found + 1], count, size = other, count + 1, grown
    end
  end
  return table.concat(found, '\30'), count, size
end
