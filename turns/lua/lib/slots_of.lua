-- slots_of(text) → count. Return the slots that a registered worker's text tells of.
local function slots_of(text)
  return tonumber(text:match('"concurrency":%s*(%d+)')) or 0
end
