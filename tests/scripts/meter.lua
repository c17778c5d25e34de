-- Stands before a script's parts, which then see this table instead of the server's: the steps of all their commands are added up. A
-- step is a command, an argument, an element of a reply, or an element that the server passes over or frees on the way. The bytes of large
-- replies are added up, too.
local server = redis
local counts = { list = 'LLEN', zset = 'ZCARD', set = 'SCARD', hash = 'HLEN', stream = 'XLEN' }
local function size(name)
  local count = counts[server.call('TYPE', name).ok]
  return count and server.call(count, name) or 0
end
local function sizes(...)
  local all = 0
  for _, name in ipairs({ ... }) do all = all + size(name) end
  return all
end
local function none() return 0 end
-- Their work is told by their arguments and reply. LINDEX, LRANGE and LSET pass over a list's nodes, 8 KB each, from the nearer end.
local passed_over = {}
for name in ([[EXISTS GET HDEL HEXISTS HGET HGETALL HINCRBY HKEYS HLEN HMGET HRANDFIELD HSET HSETNX HSTRLEN LINDEX LLEN LPOP LPUSH LRANGE PERSIST PEXPIRE PTTL
  PUBLISH PUBSUB RPUSH SADD SCARD SET SMEMBERS SRANDMEMBER SREM TIME TYPE UNLINK XADD XRANGE XREVRANGE ZADD ZCARD ZRANGE ZRANGEBYSCORE
  ZREM ZSCORE]]):gmatch('%u+') do passed_over[name] = none end
passed_over.DEL = sizes
passed_over.COPY = size
passed_over.LTRIM = size
passed_over.LINSERT = size
passed_over.RENAME = function(_, other) return size(other) end
passed_over.LPOS = function(list, _, option, most) return option == 'MAXLEN' and math.min(size(list), tonumber(most)) or size(list) end
passed_over.LREM = function(list, count, element)
  return tonumber(count) > 0 and server.call('LPOS', list, element) or size(list)
end
passed_over.ZREMRANGEBYRANK = function(set, first, last) return #server.call('ZRANGE', set, first, last) end
passed_over.ZREMRANGEBYSCORE = function(set, low, high) return server.call('ZCOUNT', set, low, high) end
local function bytes(reply)
  if type(reply) ~= 'table' then return type(reply) == 'string' and #reply or 0 end
  local all = 0
  for _, part in ipairs(reply) do all = all + bytes(part) end
  return all
end
local function elements(reply)
  if type(reply) ~= 'table' then return 0 end
  local all = #reply
  for _, element in ipairs(reply) do all = all + elements(element) end
  return all
end
local redis = setmetatable({}, { __index = server })
for _, name in ipairs({ 'call', 'pcall' }) do
  redis[name] = function(command, ...)
    local steps = 1 + select('#', ...) + assert(passed_over[command], 'what does ' .. command .. ' cost?')(...)
    local reply = server[name](command, ...)
    server.call('INCRBY', 'steps', steps + elements(reply))
    if bytes(reply) > 16384 then server.call('INCRBY', 'bytes', bytes(reply)) end
    return reply
  end
end
