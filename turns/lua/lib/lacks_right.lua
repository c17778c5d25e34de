-- lacks_right(error) → boolean. Return whether a call failed because our user lacks a right: then every other one would fail, too.
local function lacks_right(error)
  local why = type(error) == 'table' and error.err or error
  return type(why) == 'string' and why:find('ACL failure', 1, true) ~= nil
end
