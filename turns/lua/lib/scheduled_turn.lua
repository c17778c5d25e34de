-- scheduled_turn(id) → record. Return the record that a turn which is to be asked later has until then; nil when there is none.
local function scheduled_turn(id)
  local names, record = { 'cron', 'session', 'queue', 'question', 'options', 'created', 'tick' }, {}
  local values = redis.call('HMGET', key.schedule .. id, unpack(names))
  if values[1] ~= '' then return nil end
  for place = 2, 6 do record[#record + 1], record[#record + 2] = names[place], values[place] end
  for _, word in ipairs({ 'state', 'queued', 'attempts', '0', 'not_before', values[7] }) do record[#record + 1] = word end
  return record
end
