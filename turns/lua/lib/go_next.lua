-- go_next(session, id). A turn that came last goes before all that wait, but for those that steer the head, too, and came before. It is there
-- first, and then leaves the end: a turn that stands in two places runs once.
local function go_next(session, id)
  local mailbox, before = key.mailbox .. session, nil
  for _, other in ipairs(redis.call('LRANGE', mailbox, 0, rule.most_merged - 1)) do
    if other == id then return end
    if redis.call('HGET', key.turn .. other, 'busy') ~= 'steer' then break end
    before = other
  end
  if before then redis.call('LINSERT', mailbox, 'AFTER', before, id) else redis.call('LPUSH', mailbox, id) end
  redis.call('LREM', mailbox, -1, id)
end
