-- complete_end(id, session). Do what the end of a turn still owes because a script was cut short; nothing, as a rule.
local function complete_end(id, session)
  local turn = key.turn .. id
  local names = { 'owed', 'rest', 'state', 'sequence', 'attempts', 'reply', 'options', 'answer', 'code', 'message', 'revoked', 'finished',
    'calls', 'thread', 'members' }
  if redis.call('HEXISTS', turn, 'owed') == 0 then return redis.call('PEXPIRE', turn, rule.failed_ttl, 'NX') end
  local ended, values = {}, redis.call('HMGET', turn, unpack(names))
  for place, name in ipairs(names) do ended[name] = values[place] or nil end
  ended.elements = {}
  for part in ended.owed:gmatch('[^\30]+') do
    if ended.after then ended.elements[#ended.elements + 1] = part else ended.after = part end
  end
  carry_out_ends(id, session, tonumber(ended.finished), ended, true)
end
