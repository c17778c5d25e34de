-- read_within(session, index, step, count, bytes, least) → table, boolean, bytes. The messages of a history from an index on, in steps of 1 or -1:
-- `count` at most, and no more than fit into so many bytes, but `least` in any case; whether bytes ended it, and how many there are. An error
-- of a read is returned in the table's place. A list does not tell how large its elements are, so eight
-- are read at a time, or as many of the largest as have 8 MiB.
local function read_within(session, index, step, count, bytes, least)
  local list, found, size = key.history .. session, {}, 0
  local largest = redis.pcall('HGET', key.conversation .. session, 'largest')
  local at_once = type(largest) == 'string' and math.max(1, math.min(8, math.floor(8388608 / largest))) or 8
  repeat
    -- With a count of 0 the read tells only whether it can be read.
    local many = math.max(1, math.min(at_once, count - #found))
    local low = step > 0 and index or math.max(0, index - many + 1)
    local part = redis.pcall('LRANGE', list, low, step > 0 and index + many - 1 or index)
    if part.err or #part == 0 then return part.err and part or found, false, size end
    for place = 1, #part do
      local element = part[step > 0 and place or #part + 1 - place]
      if #found >= count or (size + #element > bytes and #found >= least) then return found, #found < count, size end
      found[#found + 1], size = element, size + #element
    end
    index = index + step * #part
  until #found >= count or index < 0
  return found, false, size
end
