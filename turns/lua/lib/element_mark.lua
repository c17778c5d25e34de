-- element_mark(element) → table. Return our mark on a message of a history: turn and at; empty for a message from elsewhere. The mark is an
-- element's last part: of a large one nothing else is read.
local function element_mark(element)
  if #element > 16384 then element = '{"turnstile":' .. (element:sub(-2048):match('"turnstile":%s*(%b{})%s*}$') or '0') .. '}' end
  local read, value = pcall(cjson.decode, element)
  local ours = read and type(value) == 'table' and value.turnstile
  return type(ours) == 'table' and ours or {}
end
