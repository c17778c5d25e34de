-- end_turn(id, session, now, state, fields, elements, rest, record). End a turn. One write decides it: state, `fields` (closed, answer,
-- output, usage, model, code, message), and what is owed from then on: `elements` to the history, `rest` (may be nil) to the stream. What follows
-- can be done by others, should this be cut short. The length that the history has then is the turn's place in it, for those who follow. `record` (may be nil): sequence, attempts, reply, options,
-- thread, started, queue and members, as they are; the chain that answered; and ms from the acceptance to the first text, if there was one.
local function end_turn(id, session, now, state, fields, elements, rest, record)
  local turn, ended = key.turn .. id, { state = state, finished = now, rest = rest }
  record = record or redis.call('HMGET', turn, 'sequence', 'attempts', 'reply', 'options', 'thread', 'started', 'queue', 'members')
  for name, value in pairs(fields) do ended[name] = value end
  local after = record[1] or '0'
  ended.owed = table.concat({ after, #elements > 0 and table.concat(elements, '\30') or nil }, '\30')
  ended.sequence = after + (rest and 2 or 1)
  local length = not ended.history_length and history_length(session)
  if length then ended.history_length = length + #elements end
  local written = {}
  for name, value in pairs(ended) do written[#written + 1], written[#written + 2] = name, value end
  redis.call('HSET', turn, unpack(written))
  ended.after, ended.elements = after, elements
  ended.attempts, ended.reply, ended.options, ended.thread = record[2], record[3], record[4], record[5]
  ended.members = record[8]
  carry_out_ends(id, session, now, ended)
  -- Counted too seldom after a cut, never too often.
  count_end(ended, now, record[6], record[7], record[9], record[10])
end
