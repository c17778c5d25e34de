-- keep_results(id, results). Tools have run calls that the session of turn `id` holds open: should nobody answer these, their results close
-- them. `results`: (call \31 element \30)…; each takes over the mark of the closing element in whose place it comes.
local function keep_results(id, results)
  if results == '' then return end
  local session_key = key.session .. redis.call('HGET', key.turn .. id, 'session')
  local closing, held = unpack(redis.call('HMGET', session_key, 'closing', 'held'))
  if not closing or not held then return end
  local found, parts = {}, parts_of(closing)
  for call, element in results:gmatch('([^\30\31]*)\31([^\30]*)') do found[call] = element end
  for place, part in ipairs(parts) do
    local read, value = pcall(cjson.decode, #part <= 16384 and part or '')
    local result = read and type(value) == 'table' and type(value.data) == 'table' and found[value.data.tool_call_id]
    local mark = result and part:match('"turnstile":%s*{"tokens":%s*%d+([^{}]*)}%s*}$')
    if mark then parts[place] = result:sub(1, -3) .. mark .. '}}' end
  end
  local told = table.concat(parts, '\30')
  if told == closing then return end
  if redis.call('EXISTS', key.turn .. held) == 1 then redis.call('HSET', key.turn .. held, 'closing', told) end
  redis.call('HSET', session_key, 'closing', told)
end
