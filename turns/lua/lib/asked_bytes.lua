-- asked_bytes(id) → bytes of a turn's question and options.
local function asked_bytes(id)
  return redis.call('HSTRLEN', key.turn .. id, 'question') + redis.call('HSTRLEN', key.turn .. id, 'options')
end
