-- messages_since(history, id, ended, length) → count | nil. Return the number of messages added after a turn. `length` is the history's at the turn's
-- end, and tells at once, unless messages were removed since. Then, and for a turn of an earlier version, which has no `length`, the
-- place is found by the messages' times, whatever the history holds: the turn's newest message within 50 of there, or else there. To
-- see a mark the whole message is read: after 8 MiB the search ends, and with the turn's own messages after 32; it returns nil then.
local function messages_since(history, id, ended, length)
  local size, marks, bytes, most = redis.call('LLEN', history), {}, 0, math.huge
  local function mark(place)
    if not marks[place] and place >= 0 and place < size and bytes < most then
      local element = redis.call('LINDEX', history, place)
      marks[place], bytes = element_mark(element), bytes + #element
    end
    return marks[place] or {}
  end
  local function is_newer(at) return type(at) == 'number' and at >= ended end

  local likely = math.max(0, size - (length or size))
  local found = mark(likely)
  if found.turn == id or likely == size then return likely end
  local next_at = likely > 0 and mark(likely - 1).at or ended
  if length and not is_newer(found.at) and (type(next_at) ~= 'number' or is_newer(next_at)) then return likely end

  most = 8388608
  local low, high = 0, size
  while low < high do
    local middle = math.floor((low + high) / 2)
    if is_newer(mark(middle).at) then low = middle + 1 else high = middle end
  end
  -- What is nearest is looked at first; a turn's messages stand together, and all of them are read, or none is the place.
  local function newest(place)
    most = 33554432
    while mark(place - 1).turn == id do place = place - 1 end
    return (place == 0 or marks[place - 1]) and place or nil
  end
  for distance = 0, 50 do
    local place = mark(low - distance).turn == id and low - distance or mark(low + distance).turn == id and low + distance
    if place then return newest(place) end
  end
  for place = 0, 49 do
    if mark(place).turn == id then return newest(place) end
  end
  return bytes < most and low or nil
end
