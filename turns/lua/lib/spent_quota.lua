-- spent_quota(session, tenant, given, now, options) → name ms. Return which of the quotas of a key is spent for one more turn, and when there is
-- something of it again (0: never in this session).
local function spent_quota(session, tenant, given, now, options)
  local name, wait = spent_by_tenant(tenant, given, now)
  if name then return name, wait end
  if given.tokens_per_session or given.spend_per_session then
    local used, paid = unpack(redis.call('HMGET', key.conversation .. session, 'tokens', 'cost'))
    if tonumber(used or 0) >= (given.tokens_per_session or math.huge) then return 'tokens_per_session', 0 end
    if tonumber(paid or 0) >= (given.spend_per_session or math.huge) then return 'spend_per_session', 0 end
  end
  if given.conversations and keeps(options) and not place_for(session, given.conversations, now) then return 'conversations', rule.day end
  if given.requests_per_minute then
    -- Half of a minute's worth is left to others than batches.
    wait = spend_request(given.key, given.requests_per_minute, now, 0.5)
    if wait then return 'requests_per_minute', wait end
  end
end
