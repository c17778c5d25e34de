-- read_within(list, index, step, count, bytes, least) → table, boolean, bytes. The elements of a list from an index on, in steps of 1 or -1:
-- `count` at most, and no more than fit into so many bytes, but `least` in any case; whether bytes ended it, and how many there are. An error
-- of a read is returned in the table's place. A list does not tell how large its elements are, so a few are read at a time.
local function read_within(list, index, step, count, bytes, least)
  local found, size = {}, 0
  repeat
    -- With a count of 0 the read tells only whether it can be read.
    local many = math.max(1, math.min(8, count - #found))
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
