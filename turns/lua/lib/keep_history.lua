-- keep_history(session, busy). A history, and what its session is called, stay while turns are open; from then on they live as long as
-- this deployment says, or for ever, whatever time to live an earlier writer gave them.
local function keep_history(session, busy)
  for _, name in ipairs({ key.history .. session, key.conversation .. session }) do
    if busy or rule.history_ttl == 0 then
      redis.call('PERSIST', name)
    else
      redis.call('PEXPIRE', name, rule.history_ttl)
    end
  end
end
