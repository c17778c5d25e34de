-- each_name(list) → iterator. The names in a stored list, which is one text.
local function each_name(list)
  return (list or ''):gmatch('[^\30]+')
end
