-- likely_tokens(budget, turn, tenant) → count. Return how many tokens a turn's first call may want: as many as its tenant's last one, or, where
-- that is not known, as anybody's, but no more than the length of its question tells.
local function likely_tokens(budget, turn, tenant)
  if budget.tokens == 0 then return budget.guess end
  local own = redis.call('HGET', key.budget .. budget.model, 'guess:' .. tenant)
  return tonumber(own or nil) or math.min(budget.guess, math.ceil(redis.call('HSTRLEN', turn, 'question') / 4))
end
