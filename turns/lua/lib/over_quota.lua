-- over_quota(session, quotas, open, now, bytes, options) → name limit ms. Return which quota of a session's tenant is used up for one more turn, and when it
-- may be worthwhile to ask again (0: never in this session); nothing as a rule. `quotas` (JSON, or empty) are those of the caller's key; `open` turns are unfinished
-- in all, and `bytes` are asked. As long as no tenant has a name, sessions without one may have all that there is.
local function over_quota(session, quotas, open, now, bytes, options)
  local tenant, given = tenant_of(session), quotas ~= '' and cjson.decode(quotas) or {}
  local most = given.unfinished_turns or rule.max_waiting_per_tenant
  if open >= most then
    local alone = tenant == '' and not given.unfinished_turns and redis.call('HEXISTS', key.stats, 'tenants') == 0
    if not alone and unfinished_of(tenant, open) >= most then return 'unfinished_turns', most, 5000 end
  end
  local room = over_bytes(key.open_bytes .. tenant, bytes, given)
  if room then return 'unfinished_bytes', room, 5000 end
  if quotas == '' then return end
  local name, wait = spent_quota(session, tenant, given, now, options)
  if name then return name, ('%.0f'):format(given[name]), wait end
  -- Turns of a batch or a schedule name their key: its requests bring its limits, and these may be older.
  if not given.key then set_limits(tenant, quotas, given) end
end
