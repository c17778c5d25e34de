-- Count what an attempt has spent on calls of models without ending its turn: it was given back, or taken away by a cancel, a rollback or an
-- erase. Each attempt is counted once, for its session's tenant if that is still known.
-- FLAGS  allow-oom
-- WORK   80 steps
-- KEYS   counted:<token> tenant:<tenant> tenants conversation:<session> message_store:<session> stats
-- ARGV   session token model model_calls tokens_in tokens_out cost: the cost in millionths
-- RETURN counted | replay
local now, tenant = clock(), tenant_of(session)
if not redis.call('SET', key.counted .. token, '', 'NX', 'PX', rule.counted_ttl) then return { 'replay' } end
count_usage(model, model_calls, tokens_in, tokens_out, cost)
local known = redis.call('EXISTS', key.tenant .. tenant) == 1 or redis.call('ZSCORE', key.tenants, tenant)
if known then count_spend(session, true, tokens_in + tokens_out, cost, 0, now, true) end
return { 'counted' }
