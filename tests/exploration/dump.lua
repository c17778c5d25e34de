-- The whole database as JSON: {now, key → [kind, value, whether it expires]}. Dispatches are told by their turn's id.
local function pairs_of(flat)
  local found = {}
  for i = 1, #flat, 2 do found[flat[i]] = flat[i + 1] end
  return found
end
local function turn_of(message)
  local readable, envelope = pcall(cjson.decode, message)
  return readable and type(envelope) == 'table' and envelope.headers.id or message
end
local read = {
  hash = function(name) return pairs_of(redis.call('HGETALL', name)) end,
  list = function(name)
    local found = redis.call('LRANGE', name, 0, -1)
    if name == 'chat' then
      for i, message in ipairs(found) do found[i] = turn_of(message) end
    end
    return found
  end,
  set = function(name) return redis.call('SMEMBERS', name) end,
  zset = function(name) return pairs_of(redis.call('ZRANGE', name, 0, -1, 'WITHSCORES')) end,
  stream = function(name) return redis.call('XRANGE', name, '-', '+') end,
  string = function(name) return redis.call('GET', name) end,
}
local found = {}
for _, name in ipairs(redis.call('KEYS', '*')) do
  local kind = redis.call('TYPE', name).ok
  found[name] = { kind, read[kind](name), redis.call('TTL', name) >= 0 }
end
local time = redis.call('TIME')
return cjson.encode({ time[1] * 1000 + math.floor(time[2] / 1000), found })
