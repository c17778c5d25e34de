-- List the tenants of which turns were dispatched of late, newest first, at most `limit`: what each has now, and has spent today.
-- FLAGS  no-writes
-- WORK   3,000 steps, and 50 for each of limit
-- KEYS   tenants open_turns:<tenant>… open_bytes:<tenant>… slots:<tenant>… tenant:<tenant>… streams:<tenant>… conversations:<tenant>… stored:<tenant>… open
-- ARGV   limit
-- RETURN (tenant at unfinished slots tokens cost turns streams conversations stored asked quotas)…: `at`, ms of the last dispatch;
--        conversations where their number is limited; `asked`, bytes of its unfinished turns that are not small
local now, open, found = clock(), redis.call('ZCARD', key.open), {}
local names = redis.call('ZRANGE', key.tenants, -limit, -1, 'WITHSCORES')
for place = #names - 1, 1, -2 do
  local tenant, at = names[place], names[place + 1]
  local tokens, cost, turns = spent_today(tenant, now)
  local quotas = redis.call('HGET', key.tenant .. tenant, 'quotas') or '{}'
  local stored = redis.call('HGET', key.stored .. tenant, '') or 0
  for _, fact in ipairs({ tenant, at, unfinished_of(tenant, open), redis.call('SCARD', key.slots .. tenant), tokens, ('%.0f'):format(cost), turns,
    redis.call('ZCARD', key.streams .. tenant), redis.call('ZCARD', key.conversations .. tenant), stored,
    redis.call('HGET', key.open_bytes .. tenant, '') or 0, quotas }) do
    found[#found + 1] = fact
  end
end
return found
