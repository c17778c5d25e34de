-- live_workers(now, limit, alike) → table, count. The registered workers that were seen of late and are listening, at most `limit`: name,
-- text and facts of each; of more than 2,000, any 2,000 are looked at. A dead worker's entry may be there for a while. Those whose
-- text holds `alike` are passed over, unread. Also how many slots they all have.
local function live_workers(now, limit, alike)
  local found, slots, registered = {}, 0, redis.call('HRANDFIELD', key.workers, 2000, 'WITHVALUES')
  for i = 1, #registered, 2 do
    if #found >= limit then break end
    local name, text = registered[i], registered[i + 1]
    slots = slots + slots_of(text)
    local read, facts = pcall(cjson.decode, alike and text:find(alike, 1, true) and '{}' or text)
    local seen = read and type(facts) == 'table' and tonumber(facts.seen)
    if seen and math.abs(now - seen * 1000) < rule.absence then
      local listeners = redis.pcall('PUBSUB', 'NUMSUB', key.orders .. name)
      -- Where the right to ask is missing, having been seen must do.
      if listeners.err or listeners[2] > 0 then found[#found + 1] = { name = name, text = text, facts = facts } end
    end
  end
  return found, slots
end
