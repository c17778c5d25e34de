-- Reserve a call of a model for a turn at work, out of the budget that all workers share: now, or in a moment. A turn that was sent for
-- a slot takes it; any other stands behind those who wait, unless they wait for more tokens than it wants, which a larger call of
-- another tenant has taken. A repeat gets the same slot.
-- FLAGS  allow-oom
-- WORK   10,000 steps: a thousand calls may be under way
-- KEYS   turn:<id>… session:<session>… budget:<model> calls:<model> promised:<model> coming:<model>
--        budgets first_call:<kind> stats rotation:<queue> tenants ready:<line>…
-- ARGV   id token number tenant model tokens ahead requests minute_tokens most falls_back kind: `number` tells the calls of an attempt apart; the
--        longest wait in ms that its worker stands; and the limits that it was given, 0 for none; and 1 where another
--        model may answer; `kind` is empty, or tells turns that begin with a call of this model: `chain model`, as they were asked
-- RETURN granted wait | over wait passed: in ms; -1 when it ends as soon as another call does; `passed` is 1 when the turn was sent for a slot of
--        another model
local now, call, calls, promised = clock(), ('%s %s %s %s'):format(number, token, id, tenant), key.calls .. model, key.promised .. model
local kept = redis.call('ZSCORE', calls, call)
if kept then return { 'granted', math.max(0, math.ceil(kept - now)) } end
if falls_back == '1' and redis.call('HGET', key.turn .. id, 'passed_over') == model then return { 'over', 0, 1 } end
local sent = tonumber(redis.call('ZSCORE', promised, id) or nil)
local budget, at = read_budget(model, requests, minute_tokens, most), sent
if not budget.kept then return { 'granted', 0 } end
local comes, in_time = redis.call('ZREM', key.coming .. model, id) == 1, sent and sent + rule.budget_late >= now
if kind ~= '' then know_model(kind, model, requests, minute_tokens, most, now) end
if in_time and budget.tokens > 0 then in_time = correct_promise(budget, id, tenant, tonumber(tokens), now) end
if not in_time then
  redis.call('ZREM', promised, id)
  at = calls_left(budget, tenant, now) > 0 and next_call(budget, tenant, now, tonumber(tokens)) or math.huge
  if at > now + ahead * (comes and 2 or 1) or not (sent or comes) and others_wait(budget, now, at) then
    -- Whoever sends those who wait knows no settings.
    redis.call('HSET', key.budget .. model, 'requests', budget.set[1], 'tokens', budget.set[2], 'most', budget.set[3])
    keep_budget(budget, now)
    return { 'over', at == math.huge and -1 or math.ceil(at - now), 0 }
  end
end
redis.call('ZADD', key.budgets, 'NX', now, model)
redis.call('ZADD', calls, at, call)
redis.call('PEXPIRE', calls, rule.calls_ttl)
-- A call that a dead worker left is found by its age.
local oldest, since = unpack(redis.call('ZRANGE', calls, 0, 0, 'WITHSCORES'))
if since + rule.calls_ttl < now then redis.call('ZREM', calls, oldest) end
if redis.call('ZREM', promised, id) == 0 then spend_call(budget, tenant, at, tonumber(tokens)) end
note_tokens(budget, tenant, tokens)
return { 'granted', math.max(0, math.ceil(at - now)) }
