-- read_record(id, content, outline) → record. Return the fields of a turn, and their values: all where `content` is all, and where they are small, which is
-- faster. Else without what was asked, with the messages of the options, and, where it is none, without what was answered; of `owed`, only that it is
-- there. `outline`: the turn's field of this name, which marks a turn that was asked something large; it is empty where the options are not.
local function read_record(id, content, outline)
  local turn = key.turn .. id
  if content == 'all' or not outline and content == 'answer' then return redis.call('HGETALL', turn) end
  local answered = redis.call('HSTRLEN', turn, 'answer') + redis.call('HSTRLEN', turn, 'output')
  if not outline and answered <= rule.most_looked_at then return redis.call('HGETALL', turn) end

  local names = { 'session', 'state', 'queue', 'place', 'attempts', 'dispatches', 'sequence', 'created', 'started', 'finished', 'usage', 'model',
    'code', 'message', 'detail', 'left_out', 'fallback', 'waits_for', 'merged', 'members', 'forgiven' }
  if content == 'answer' then names[#names + 1], names[#names + 2] = 'answer', 'output' end
  local record = { 'options', outline and outline ~= '' and outline or redis.call('HGET', turn, 'options') }
  for place, value in ipairs(redis.call('HMGET', turn, unpack(names))) do
    if value then record[#record + 1], record[#record + 2] = names[place], value end
  end
  if redis.call('HEXISTS', turn, 'owed') == 1 then record[#record + 1], record[#record + 2] = 'owed', 1 end
  return record
end
