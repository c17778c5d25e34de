-- Try the rights of a user: every command on keys of its own, which are nothing's, and every family of keys and channels; nothing is
-- read, and nothing stays.
-- FLAGS  allow-oom
-- WORK   1,000 steps
-- KEYS   probe:<name>
-- ARGV   asked: JSON: name, commands, and one key or channel of each family of keys and channels
-- RETURN (right)…: those that are missing, +command ~key &channel
local missing, denied = {}, {}
asked = cjson.decode(asked)
local none, text = key.probe .. asked.name, key.probe .. asked.name .. ':text'
-- Where a command could write something, its arguments do not fit; the rights are looked at before that.
local tries = {
  DEL = { none }, EXISTS = { none }, GET = { none }, HDEL = { none, 'f' }, HEXISTS = { none, 'f' }, HGET = { none, 'f' },
  HGETALL = { none }, HINCRBY = { none, 'f', 'x' }, HKEYS = { none }, HLEN = { none }, HMGET = { none, 'f' }, HRANDFIELD = { none, 1 },
  HSET = { none, 'f', 'v', 'g' }, HSETNX = { text, 'f', 'v' }, HSTRLEN = { none, 'f' }, LINDEX = { none, 0 }, LINSERT = { none, 'BEFORE', 'x', 'y' },
  LLEN = { none }, LPOP = { none }, LPOS = { none, 'x' }, LPUSH = { text, 'x' }, LRANGE = { none, 0, 0 }, LREM = { none, 1, 'x' },
  PERSIST = { none }, PEXPIRE = { none, 1 }, PUBLISH = { asked.channels[1] or none, '' }, PTTL = { none }, PUBSUB = { 'NUMSUB', none },
  RENAME = { none, none }, RPUSH = { text, 'x' }, SADD = { text, 'x' }, SCARD = { none }, SET = { none, '', 'PX' },
  SRANDMEMBER = { none, 1 }, SREM = { none, 'x' }, TIME = {}, TYPE = { none }, UNLINK = { none }, XADD = { none, '0-0', 'f', 'v' },
  XRANGE = { none, '-', '+', 'COUNT', 1 }, XREVRANGE = { none, '+', '-', 'COUNT', 1 }, ZADD = { none, 'x', 'm' }, ZCARD = { none },
  ZRANGE = { none, 0, 0 }, ZRANGEBYSCORE = { none, 0, 0 }, ZREM = { none, 'm' }, ZREMRANGEBYRANK = { none, 0, 0 },
  ZSCORE = { none, 'm' },
}

local function refused(...)
  local said = redis.pcall(...)
  if not lacks_right(said) then return false end
  return (said.err:find('access a', 1, true) and 'key') or (said.err:find('channel', 1, true) and 'channel') or 'command'
end
local function permitted(names)
  for _, name in ipairs(names) do
    if not denied[name] and refused(name, unpack(tries[name])) ~= 'command' then return name end
  end
end

redis.pcall('SET', text, '', 'PX', 1000)
for _, name in ipairs(asked.commands) do
  denied[name] = refused(name, unpack(tries[name])) == 'command'
  if denied[name] then missing[#missing + 1] = '+' .. (name == 'PUBSUB' and 'pubsub|numsub' or name:lower()) end
end
redis.pcall('DEL', text)

local write, read = permitted({ 'XADD', 'HSET', 'HINCRBY', 'ZADD' }), permitted({ 'EXISTS', 'HGET', 'HMGET', 'GET' })
for _, name in ipairs(asked.keys) do
  local words = { name, unpack(tries[write or 'XADD'], 2) }
  local unwritten = write and refused(write, unpack(words)) == 'key'
  if unwritten or (read and refused(read, name, unpack(tries[read], 2)) == 'key') then missing[#missing + 1] = '~' .. name end
end
for _, name in ipairs(asked.channels) do
  if not denied.PUBLISH and refused('PUBLISH', name, '') then missing[#missing + 1] = '&' .. name end
end
return missing
