-- send_dispatch(session, id, queue, sent). Put a turn's dispatch on its queue.
local function send_dispatch(session, id, queue, sent)
  local names = { id = id, session = session, queue = queue, tag = id .. '-' .. sent }
  if rule.show_content == 1 then
    -- The question is JSON already; as part of a string in the message it is escaped once more.
    names.question = cjson.encode(redis.call('HGET', key.turn .. id, 'question')):sub(2, -2)
  end
  redis.call('LPUSH', key.queue .. queue, rule.dispatch_message)
end
