-- keeps(options) → boolean. Return whether a turn with these options (JSON), or their outline, goes into its session's history.
local function keeps(options)
  -- Within a text the quotes would be escaped; within an object, whoever asks may have any name.
  if not options:find('"store":false', 1, true) then return true end
  local read, chosen = pcall(cjson.decode, options)
  return not read or chosen.store ~= false
end
