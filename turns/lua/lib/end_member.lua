-- end_member(member, id, now) → table. Turn `id` has ended, and answered the question of turn `member`, too: that ends as it did. Return what
-- there is still to carry out, as `carry_out_end` has it; false where all is done, or the member has gone another way.
local function end_member(member, id, now)
  local turn = key.turn .. member
  local state, merged, after, reply, options, owed, started, queue =
    unpack(redis.call('HMGET', turn, 'state', 'merged', 'sequence', 'reply', 'options', 'owed', 'started', 'queue'))
  if merged ~= id or (state ~= 'running' and not owed) then return false end
  local names = { 'state', 'attempts', 'answer', 'output', 'usage', 'model', 'code', 'message', 'detail', 'left_out', 'fallback', 'history_length', 'calls', 'closing' }
  local ended, written, values = { owed = after, finished = now }, {}, redis.call('HMGET', key.turn .. id, unpack(names))
  for place, name in ipairs(names) do ended[name] = values[place] or nil end
  ended.sequence = after + 1
  for name, value in pairs(ended) do written[#written + 1], written[#written + 2] = name, value end
  if state == 'running' then
    redis.call('HSET', turn, unpack(written))
    count_end(ended, now, started, queue)
  end
  ended.after, ended.elements, ended.reply, ended.options = owed or after, {}, reply, options
  return ended
end
