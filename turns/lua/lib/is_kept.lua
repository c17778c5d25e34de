-- is_kept(id) → boolean. Return whether a turn goes into its session's history; true where a cut script has left no record of it.
local function is_kept(id)
  local options, outline = unpack(redis.call('HMGET', key.turn .. id, 'options', 'outline'))
  return keeps((outline or '') ~= '' and outline or options or '')
end
