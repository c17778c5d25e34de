-- end_turn(id, session, now, state, fields, elements, rest, known). End a turn. One write decides it: state, `fields` (closed, answer,
-- output, usage, model, code, message), and what is owed from then on: `elements` to the history, `rest` (may be nil) to the stream. What follows
-- can be done by others, should this be cut short. `known` (may be nil): sequence, attempts, reply and options, as they are.
local function end_turn(id, session, now, state, fields, elements, rest, known)
  local turn, ended = key.turn .. id, { state = state, finished = now, rest = rest }
  known = known or redis.call('HMGET', turn, 'sequence', 'attempts', 'reply', 'options')
  for name, value in pairs(fields) do ended[name] = value end
  local after = known[1] or '0'
  ended.owed = table.concat({ after, #elements > 0 and table.concat(elements, '\30') or nil }, '\30')
  ended.sequence = after + (rest and 2 or 1)
  local record = {}
  for name, value in pairs(ended) do record[#record + 1], record[#record + 2] = name, value end
  redis.call('HSET', turn, unpack(record))
  ended.after, ended.elements = after, elements
  ended.attempts, ended.reply, ended.options = known[2], known[3], known[4]
  carry_out_end(id, session, now, ended)
end
