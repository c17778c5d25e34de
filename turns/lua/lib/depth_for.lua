-- depth_for(elements) → count. Return among how many of a history's newest messages these are looked for, to be added once: 1,000, or, of
-- large ones, which are compared to their last byte, fewer, 128 MiB in all. A repeat comes soon: 20 others may have come between.
local function depth_for(elements)
  local bytes = 1
  for _, element in ipairs(elements) do bytes = bytes + #element end
  return math.max(#elements + 20, math.min(1000, math.floor(134217728 / bytes)))
end
