-- know_model(kind, model, requests, tokens, most, now). Note the budget from which turns of a kind (`chain model`, as they were asked) take their
-- first call, for a while: those that come are looked at before they are dispatched.
local function know_model(kind, model, requests, tokens, most, now)
  local budget = ('%s=%s,%s,%s'):format(model, requests, tokens, most)
  local until_then = tonumber(redis.call('HGET', key.stats, 'budgeted') or 0)
  if until_then < now then redis.call('DEL', key.models) end
  if redis.call('HGET', key.models, kind) ~= budget and redis.call('HLEN', key.models) < rule.most_models then
    redis.call('HSET', key.models, kind, budget)
  end
  if until_then < now + rule.known / 2 or until_then > now + rule.known then
    redis.call('PEXPIRE', key.models, rule.known)
    redis.call('HSET', key.stats, 'budgeted', now + rule.known)
  end
end
