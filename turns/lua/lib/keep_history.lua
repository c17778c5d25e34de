-- keep_history(session, busy). A history, and what its session is called, stay while turns are open; from then on they live as long as
-- this deployment says, or for ever, whatever time to live an earlier writer gave them. A branch never lives for ever.
local function keep_history(session, busy)
  local ttl = rule.history_ttl
  if ttl == 0 and not busy and redis.pcall('HEXISTS', key.conversation .. session, 'branch') == 1 then ttl = rule.branch_ttl end
  for _, name in ipairs({ key.history .. session, key.conversation .. session }) do
    if busy or ttl == 0 then
      redis.call('PERSIST', name)
    else
      redis.call('PEXPIRE', name, ttl)
    end
  end
end
