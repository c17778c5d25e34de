-- Count one request of an API key, and tell what is left of its tokens.
-- FLAGS  allow-oom
-- WORK   40 steps
-- KEYS   rate:<key> tenant:<tenant>
-- ARGV   name per_minute tenant tokens_per_minute: the key's id, how many requests it may make in a minute, and tokens its tenant; 0: any
-- RETURN admitted left tokens reset | refused wait: requests and tokens that are left now, and ms until all tokens are back; or ms until
--        there is a request
local now, left, tokens, reset = clock(), 0, 0, 0
if tonumber(per_minute) > 0 then
  local wait, rest = spend_request(name, per_minute, now, 0)
  if wait then return { 'refused', wait } end
  left = rest
end
if tonumber(tokens_per_minute) > 0 then
  local owed = tokens_owed(tenant, now)
  tokens = math.floor(math.min(rule.minute, math.max(0, -owed)) * tokens_per_minute / rule.minute)
  reset = math.max(0, owed + rule.minute)
end
return { 'admitted', left, tokens, reset }
