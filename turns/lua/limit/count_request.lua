-- Count one request of an API key. A minute's worth may come at once; what was spent comes back evenly (GCRA: all that is
-- stored is the moment when nothing is spent any more).
-- FLAGS  allow-oom
-- WORK   20 steps
-- KEYS   rate:<key>
-- ARGV   name per_minute: the key's id, and how many requests it may make in a minute
-- RETURN admitted left | refused wait: requests that are left now, or ms until there is one
local spent, now, minute = key.rate .. name, clock(), 60000
local until_free = math.max(now, tonumber(redis.call('GET', spent) or 0)) + minute / per_minute
if until_free - now > minute then return { 'refused', math.ceil(until_free - now - minute) } end
redis.call('SET', spent, ('%.3f'):format(until_free), 'PX', math.ceil(until_free - now))
return { 'admitted', math.floor((minute - (until_free - now)) * per_minute / minute) }
