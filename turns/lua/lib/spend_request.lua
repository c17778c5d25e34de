-- spend_request(name, per_minute, now, reserve) → ms left. Spend one request of an API key, or return the ms until there is one. A minute's
-- worth may come at once, but for the share `reserve`; what was spent comes back evenly (GCRA: all that is stored is the moment when
-- nothing is spent any more; one more than a minute off was told by a clock that has been set back). Also how many are left.
local function spend_request(name, per_minute, now, reserve)
  local spent, each, most = key.rate .. name, rule.minute / per_minute, rule.minute * (1 - reserve)
  local known = tonumber(redis.call('GET', spent) or 0)
  local until_free = math.max(now, known <= now + rule.minute and known or 0) + each
  if until_free - now > math.max(most, each) then return math.ceil(until_free - now - math.max(most, each)) end
  redis.call('SET', spent, ('%.3f'):format(until_free), 'PX', math.ceil(until_free - now))
  return nil, math.floor((rule.minute - (until_free - now)) / each)
end
