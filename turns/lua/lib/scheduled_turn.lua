-- scheduled_turn(id, content) → record. Return the record that a turn which is to be asked later has until then; nil when there is none.
-- Unless `content` is all, it is without what is asked, as in `read_record`.
local function scheduled_turn(id, content)
  local names, record = { 'cron', 'tick', 'session', 'queue', 'created', 'outline' }, {}
  local values = redis.call('HMGET', key.schedule .. id, unpack(names))
  if values[1] ~= '' then return nil end
  for place = 3, 5 do record[#record + 1], record[#record + 2] = names[place], values[place] end
  for _, word in ipairs({ 'state', 'queued', 'attempts', '0', 'not_before', values[2] }) do record[#record + 1] = word end
  local outline = content ~= 'all' and values[6] ~= '' and values[6]
  record[#record + 1], record[#record + 2] = 'options', outline or redis.call('HGET', key.schedule .. id, 'options')
  if content == 'all' then record[#record + 1], record[#record + 2] = 'question', redis.call('HGET', key.schedule .. id, 'question') end
  return record
end
