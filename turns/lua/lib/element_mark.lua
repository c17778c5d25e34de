-- element_mark(element) → table. What we noted on a message of a history: turn and at; empty for a message from elsewhere.
local function element_mark(element)
  local read, value = pcall(cjson.decode, element)
  local ours = read and type(value) == 'table' and value.turnstile
  return type(ours) == 'table' and ours or {}
end
