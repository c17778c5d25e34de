-- clock() → ms. The server's TIME is the only clock: clients' clocks disagree.
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
