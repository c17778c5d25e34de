-- lacks_right(failure) → boolean. Return whether a call failed because our user lacks a right: then every other one would fail, too.
local function lacks_right(failure)
  local why = type(failure) == 'table' and failure.err or failure
  if type(why) ~= 'string' then return false end
  -- The second is what Redis 7.0 says.
  return (why:find('ACL failure', 1, true) or why:find('The user executing the script', 1, true)) ~= nil
end
