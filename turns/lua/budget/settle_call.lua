-- Settle a call of a model: its place is free, what was estimated is corrected, and those who wait are sent. When the model's server
-- asks for patience, the model pauses; what it tells of its limits lowers the budget.
-- FLAGS  allow-oom
-- WORK   18,000 steps: 60 sessions that wait for a model, and a thousand calls that may be under way
-- KEYS   turn:<id>… session:<session>… budget:<model> calls:<model> promised:<model> budgets looks due stats <queue>… ready:<line>…
--        rotation:<queue>… batch_slots slots:<tenant> tenant:<tenant> tenants coming:<model> workers owned:<worker>
-- ARGV   id token number tenant model estimated used how pause told_requests told_tokens left_requests left_tokens: `how` is answered, failed or
--        limited; a pause of 0 ms is one of our own choice; limits and what is left are empty where nothing was told
-- RETURN settled paused: ms for which the model pauses from now, for the tenant
local now, budget, name = clock(), read_budget(model), key.budget .. model
local ended = redis.call('ZREM', key.calls .. model, ('%s %s %s %s'):format(number, token, id, tenant)) == 1
local limited, changed = how == 'limited', {}
local function change(field, value) changed[#changed + 1], changed[#changed + 2] = field, value end

local function recover(of)
  if budget[of .. 'window'] == 0 or budget[of .. 'paused'] > now then return end
  change(of .. 'strikes', 0)
  change(of .. 'window', budget[of .. 'window'] + 1)
end
if limited then
  note_refusal(budget, tenant, tonumber(pause), left_requests == '0' or left_tokens == '0', now, change)
elseif ended and how == 'answered' then
  recover('')
  if budget.tenant == tenant then recover('own_') end
end
-- The rest of a limit is no more than the server says.
local function told(kind, limit, left)
  limit, left = tonumber(limit), tonumber(left)
  if limit and limit > 0 then
    change('told_' .. kind, limit)
    budget[kind] = budget[kind] > 0 and math.min(budget[kind], limit) or limit
  end
  if left and budget[kind] > 0 then
    local least = now + rule.budget_burst - (left - 1) * rule.budget_minute / budget[kind]
    budget[kind .. '_spent'] = math.max(budget[kind .. '_spent'], least)
    change(kind .. '_spent', ('%.3f'):format(budget[kind .. '_spent']))
  end
end
local known = limited or budget.kept
if known and ended and budget.tokens > 0 then
  -- As much as `spend_call` has noted, and may note, of one call.
  spend_time(budget, tenant, call_time(budget, tonumber(used)) - call_time(budget, tonumber(estimated)), now)
  change('tokens_spent', ('%.3f'):format(budget.tokens_spent))
  change('owed_until', ('%.3f'):format(budget.owed_until))
  change('owed_by', budget.owed_by or '')
end
if known then
  told('requests', told_requests, left_requests)
  told('tokens', told_tokens, left_tokens)
end
if known and #changed > 0 then redis.call('HSET', name, unpack(changed)) end
if limited then
  keep_budget(budget, now)
  redis.call('ZADD', key.budgets, 'NX', now, model)
end
send_waiting(model, now)
return { 'settled', math.max(0, math.ceil(pause_of(budget, tenant) - now)) }
