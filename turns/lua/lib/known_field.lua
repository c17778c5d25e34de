-- known_field(id, run) → text. Return the field of its steps where a turn notes the messages that its graph knew at first. Turns that
-- go on with another's run share one where they answer the same open calls: should the first fail, the next goes on after it, and brings
-- what both have added.
local function known_field(id, run)
  local answers = run ~= id and redis.call('HGET', key.turn .. id, 'answers')
  return 'known\31' .. (answers and '>' .. answers or id)
end
