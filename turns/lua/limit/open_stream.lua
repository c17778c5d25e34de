-- Note that a tenant reads a stream, or does so still; so many may be open over all gateways. One that was not heard of for a minute is
-- closed.
-- FLAGS  allow-oom
-- WORK   1,000 steps: 100 that were not closed are forgotten
-- KEYS   streams:<tenant>
-- ARGV   tenant stream most
-- RETURN opened | refused
local streams, now = key.streams .. tenant, clock()
local gone = redis.call('ZRANGEBYSCORE', streams, '-inf', now - rule.minute, 'LIMIT', 0, 100)
if #gone > 0 then redis.call('ZREM', streams, unpack(gone)) end
-- Those that a clock has noted which was set back since.
local ahead = redis.call('ZRANGEBYSCORE', streams, '(' .. now, '+inf', 'LIMIT', 0, 100)
if #ahead > 0 then redis.call('ZREM', streams, unpack(ahead)) end
if not redis.call('ZSCORE', streams, stream) and redis.call('ZCARD', streams) >= tonumber(most) then return { 'refused' } end
redis.call('ZADD', streams, now, stream)
redis.call('PEXPIRE', streams, rule.minute)
return { 'opened' }
