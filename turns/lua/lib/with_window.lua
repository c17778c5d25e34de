-- with_window(id, session, reply, messages, cut, newest, length, noted) → table. A claim's reply with its window, or, where that and what was asked are
-- large, without: the worker reads it when it has room for it. Its bytes and places are noted for the next claim.
local function with_window(id, session, reply, messages, cut, newest, length, noted)
  local asked = #reply[7] + #reply[8] + #reply[16]
  local size = asked
  for _, element in ipairs(messages) do reply[#reply + 1], size = element, size + #element end
  if size <= rule.large and not noted then return reply end
  if asked > rule.large then reply[7], reply[8], reply[16] = '', '', '' end
  if not noted then
    noted = table.concat({ size, newest, #messages - newest, length, cut and 1 or 0 }, ' ')
    redis.call('HSET', key.turn .. id, 'large', noted)
  end
  reply[20] = noted
  return { unpack(reply, 1, 20) }
end
