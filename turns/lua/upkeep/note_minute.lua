-- Note what is there in this minute, and what was counted until now, unless it is noted already. Each minute takes the place of the one
-- two hours before it.
-- FLAGS  allow-oom
-- WORK   160,000 steps: 5,000 counters, 2,000 workers, and 2,500 tenants for each queue
-- KEYS   minutes stats due open held failed webhooks undelivered workers owned:<worker>… session:<session>… turn:<id>… <queue>
--        ready:<line>… rotation:<queue> parked:<queue>
-- ARGV   (none)
-- RETURN noted | known
local now = clock()
local minute = math.floor(now / rule.minute)
local place = minute % rule.minutes
if (redis.call('HGET', key.minutes, place) or ''):match('^%d+') == ('%d'):format(minute) then return { 'known' } end

local counted, there, counters, found = {}, {}, redis.call('HGETALL', key.stats), measures(now)
for family in rule.noted:gmatch('%S+') do counted[family] = 0 end
for i = 1, #counters, 2 do
  local family = counters[i]:match('^[%w_]+')
  if counted[family] then counted[family] = counted[family] + (tonumber(counters[i + 1]) or 0) end
end
for i = 1, #found, 2 do there[found[i]] = found[i + 1] end
redis.call('HSET', key.minutes, place, ('%d %s'):format(minute, cjson.encode({ at = now, counted = counted, there = there })))
return { 'noted' }
