-- know_model(kind, model, requests, tokens, most, now). Note the budget from which turns of a kind (`chain model`, as they were asked) take their
-- first call, for a while: those that come are looked at before they are dispatched. Each kind is a key of its own and ends by itself, so the
-- names that one tenant asks for displace nobody's. `known` counts the times at which all that was known is void: none was called for
-- a while, or a worker came.
local function know_model(kind, model, requests, tokens, most, now)
  local until_then, known = unpack(redis.call('HMGET', key.stats, 'budgeted', 'known'))
  until_then = tonumber(until_then or 0)
  if until_then < now then known = redis.call('HINCRBY', key.stats, 'known', 1) end
  -- It is written once in half of that while.
  local name, budget = key.first_call .. kind, ('%s %d %s=%s,%s,%s'):format(known or 0, 2 * now / rule.known, model, requests, tokens, most)
  if redis.call('GET', name) ~= budget then redis.call('SET', name, budget, 'PX', rule.known) end
  if until_then < now + rule.known / 2 or until_then > now + rule.known then
    redis.call('HSET', key.stats, 'budgeted', now + rule.known)
  end
end
