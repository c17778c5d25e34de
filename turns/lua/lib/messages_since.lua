-- messages_since(history, id, ended, length) → count. Return the number of messages added after a turn. `length` is the history's at the turn's
-- end, and tells at once, unless messages were removed since. Then, and for a turn of an earlier version, which has no `length`, the
-- place is found by the messages' times, whatever the history holds: the turn's newest message within 50 of there, or else there.
local function messages_since(history, id, ended, length)
  local size = redis.call('LLEN', history)
  local function mark(place)
    local element = place >= 0 and redis.call('LINDEX', history, place)
    return element and element_mark(element) or {}
  end
  local function is_newer(at) return type(at) == 'number' and at >= ended end
  local function find(first, last)
    for place = math.max(0, first), math.min(size - 1, last) do
      if mark(place).turn == id then return place end
    end
  end

  local likely = math.max(0, size - (length or size))
  local found = mark(likely)
  if found.turn == id or likely == size then return likely end
  local next_at = likely > 0 and mark(likely - 1).at or ended
  if length and not is_newer(found.at) and (type(next_at) ~= 'number' or is_newer(next_at)) then return likely end

  local low, high = 0, size
  while low < high do
    local middle = math.floor((low + high) / 2)
    if is_newer(mark(middle).at) then low = middle + 1 else high = middle end
  end
  return find(low - 50, low + 49) or find(0, 49) or low
end
