-- read_record(id, content) → record. Return the fields of a turn, and their values. Unless `content` is all, what was asked is left out where it
-- is large, with messages of the options, and, where it is none, what was answered; then `owed` tells only that an end is not carried out.
local function read_record(id, content)
  local turn, record, has_outline = key.turn .. id, {}, false
  local function is_large(one, other) return redis.call('HSTRLEN', turn, one) + redis.call('HSTRLEN', turn, other) > rule.most_looked_at end
  if content == 'all' or not is_large('question', 'options') and (content == 'answer' or not is_large('answer', 'output')) then
    return redis.call('HGETALL', turn)
  end
  local names = { 'session', 'state', 'queue', 'place', 'attempts', 'dispatches', 'sequence', 'created', 'started', 'finished', 'usage', 'model',
    'code', 'message', 'detail', 'left_out', 'fallback', 'waits_for', 'merged', 'members', 'outline' }
  if content == 'answer' then names[#names + 1], names[#names + 2] = 'answer', 'output' end
  for place, value in ipairs(redis.call('HMGET', turn, unpack(names))) do
    local name = names[place]
    if value and name == 'outline' then name, has_outline = 'options', true end
    if value then record[#record + 1], record[#record + 2] = name, value end
  end
  if not has_outline then record[#record + 1], record[#record + 2] = 'options', redis.call('HGET', turn, 'options') end
  if redis.call('HEXISTS', turn, 'owed') == 1 then record[#record + 1], record[#record + 2] = 'owed', 1 end
  return record
end
