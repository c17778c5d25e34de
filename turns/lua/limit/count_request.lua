-- Count one request of an API key, note the limits of its tenant, and tell what is left of its tokens.
-- FLAGS  allow-oom
-- WORK   80 steps
-- KEYS   rate:<key> tenant:<tenant> parked:<queue> rotation:<queue> stats
-- ARGV   name per_minute tenant quotas: the key's id, how many requests it may make in a minute (0: any), and its quotas as JSON
-- RETURN admitted left tokens reset | refused wait: requests and tokens that are left now, and ms until all tokens are back; or ms until
--        there is a request
local now, left, tokens, reset, given = clock(), 0, 0, 0, cjson.decode(quotas)
if tonumber(per_minute) > 0 then
  local wait, rest = spend_request(name, per_minute, now, 0)
  if wait then return { 'refused', wait } end
  left = rest
end
set_limits(tenant, quotas, given)
if given.tokens_per_minute then
  local owed = tokens_owed(tenant, now)
  tokens = math.floor(math.min(rule.minute, math.max(0, -owed)) * given.tokens_per_minute / rule.minute)
  reset = math.max(0, owed + rule.minute)
end
return { 'admitted', left, tokens, reset }
