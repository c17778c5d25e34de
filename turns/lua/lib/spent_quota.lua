-- spent_quota(session, tenant, given, now) → name ms. Return which of the quotas of a key is spent, and when there is something of it again.
-- A minute's worth of tokens may come at once, and comes back evenly. Turns that are under way have spent nothing yet: what they need
-- more than there was is owed.
local function spent_quota(session, tenant, given, now)
  if given.tokens_per_minute then
    local wait = tokens_owed(tenant, now)
    if wait >= 0 then return 'tokens_per_minute', wait + 1 end
  end
  local tokens, cost = spent_today(tenant, now)
  local rest_of_day = rule.day - now % rule.day
  if tokens >= (given.tokens_per_day or math.huge) then return 'tokens_per_day', rest_of_day end
  if cost >= (given.spend_per_day or math.huge) then return 'spend_per_day', rest_of_day end
  if given.tokens_per_session or given.spend_per_session then
    local used, paid = unpack(redis.call('HMGET', key.conversation .. session, 'tokens', 'cost'))
    if tonumber(used or 0) >= (given.tokens_per_session or math.huge) then return 'tokens_per_session', 0 end
    if tonumber(paid or 0) >= (given.spend_per_session or math.huge) then return 'spend_per_session', 0 end
  end
  if given.conversations and not place_for(session, given.conversations, now) then return 'conversations', rule.day end
  if given.requests_per_minute then
    -- Half of a minute's worth is left to others than batches.
    local wait = spend_request(given.key, given.requests_per_minute, now, 0.5)
    if wait then return 'requests_per_minute', wait end
  end
end
