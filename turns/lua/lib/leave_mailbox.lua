-- leave_mailbox(session, id). Take a turn out of a mailbox. One that is too far back to be found is passed over when its time comes.
local function leave_mailbox(session, id)
  local mailbox = key.mailbox .. session
  if redis.call('LPOS', mailbox, id, 'MAXLEN', rule.most_waiting) then redis.call('LREM', mailbox, 1, id) end
end
