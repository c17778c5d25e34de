-- lacks_right(failure) → boolean. Return whether a call failed because our user lacks a right: then every other one would fail, too.
local function lacks_right(failure)
  local why = type(failure) == 'table' and failure.err or failure
  return type(why) == 'string' and why:find('ACL failure', 1, true) ~= nil
end
