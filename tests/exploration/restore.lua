-- Make the database hold exactly one state, with the moments that only this run's clock can tell.
-- ARGV   JSON: key → [kind, value, whether it expires]
redis.call('FLUSHDB')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function flat(value, pair)
  local found = {}
  for name, text in pairs(value) do
    found[#found + 1], found[#found + 2] = pair(name, text)
  end
  return unpack(found)
end
-- The whole of a model's tokens was spent just now.
local function field(name, text) return name, text == 'all of them' and now + 61856 or text end
local function score(member, moment) return moment == 'awhile' and now - 1000 or moment, member end
local write = {
  hash = function(name, value) redis.call('HSET', name, flat(value, field)) end,
  list = function(name, value) redis.call('RPUSH', name, unpack(value)) end,
  set = function(name, value) redis.call('SADD', name, unpack(value)) end,
  zset = function(name, value) redis.call('ZADD', name, flat(value, score)) end,
  stream = function(name, value)
    for _, entry in ipairs(value) do redis.call('XADD', name, entry[1], unpack(entry[2])) end
  end,
  string = function(name, value) redis.call('SET', name, value) end,
}
for name, entry in pairs(cjson.decode(ARGV[1])) do
  write[entry[1]](name, entry[2])
  if entry[3] then redis.call('PEXPIRE', name, 86400000) end
end
redis.call('HSETNX', 'turnstile:stats', 'called', now)
local single = redis.call('HGET', 'turnstile:stats', 'slots') == '1'
redis.call('HSET', 'turnstile:workers', 'w1', '{}', unpack(single and {} or { 'w2', '{}' }))
redis.call('ZADD', 'turnstile:roll', now - 100, 'w1', now - 100, 'w2')
return 0
