-- known_field(id) → text. Return the field of its steps where a turn notes the messages that its graph knew at first. Turns that
-- answer the same open calls share one: should the first fail, the next goes on after it, and brings what both have added.
local function known_field(id)
  local answers = redis.call('HGET', key.turn .. id, 'answers')
  return 'known\31' .. (answers and '>' .. answers or id)
end
