-- note_tokens(budget, tenant, tokens). Note the tokens that a tenant's call wants, for those that come next; of a thousand tenants at most.
local function note_tokens(budget, tenant, tokens)
  local name, own = key.budget .. budget.model, 'guess:' .. tenant
  if budget.tokens > 0 and (redis.call('HLEN', name) < rule.most_guesses or redis.call('HEXISTS', name, own) == 1) then
    redis.call('HSET', name, own, tokens)
  end
end
