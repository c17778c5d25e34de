-- Fill a key with many elements, from one number to another.
-- ARGV   kind name first last text value: `@` in the text stands for the number; each field of a hash has the value
local kind, name, first, last, text, value = unpack(ARGV)
local commands = { list = 'LPUSH', zset = 'ZADD', set = 'SADD', hash = 'HSET' }
local words = {}
local function write()
  redis.call(commands[kind], name, unpack(words))
  words = {}
end
for number = first, last do
  local place = ('%d'):format(number)
  local element = text:gsub('@', place)
  if kind == 'stream' then
    redis.call('XADD', name, place .. '-0', 'type', 'text', 'attempt', '1', 'data', element)
  else
    if kind == 'zset' then words[#words + 1] = place end
    words[#words + 1] = element
    if kind == 'hash' then words[#words + 1] = value end
    if #words > 4000 then write() end
  end
end
if #words > 0 then write() end
