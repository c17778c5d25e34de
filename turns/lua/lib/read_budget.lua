-- read_budget(model, requests, tokens, most) → table. Return the budget of a model as it stands: what may be begun in a minute, and be
-- under way at once (0: no limit is known), until when what was begun is spent, who pays for the largest call (`owed_by`) and until when,
-- and until when it is paused: for everybody (`paused`), and for the one `tenant` that was refused (`own_paused`). The limits are those of this caller where it brings some (else nil); what the
-- model's server told lowers them.
local function read_budget(model, requests, tokens, most)
  local found = redis.call('HMGET', key.budget .. model, 'requests', 'tokens', 'most', 'told_requests', 'told_tokens', 'requests_spent',
    'tokens_spent', 'paused', 'strikes', 'window', 'chats', 'own_paused', 'own_strikes', 'own_window', 'tenant', 'guess',
    'owed_until', 'owed_by')
  local number = {}
  for place = 1, 14 do number[place] = tonumber(found[place] or 0) end
  local function lower(own, told) return own > 0 and told > 0 and math.min(own, told) or math.max(own, told) end
  local budget = { model = model, set = { tonumber(requests or number[1]), tonumber(tokens or number[2]), tonumber(most or number[3]) } }
  budget.requests, budget.tokens = lower(budget.set[1], number[4]), lower(budget.set[2], number[5])
  budget.requests_spent, budget.tokens_spent, budget.paused, budget.strikes = number[6], number[7], number[8], number[9]
  budget.window, budget.chats, budget.guess = number[10], number[11], tonumber(found[16] or 0)
  budget.owed_until, budget.owed_by = tonumber(found[17] or 0), found[18]
  budget.own_paused, budget.own_strikes, budget.own_window, budget.tenant = number[12], number[13], number[14], found[15]
  -- After a pause, and as long as nothing tells how many a minute may be, few go at once, and more with each that is answered.
  budget.most = budget.requests > 0 and budget.set[3] or lower(budget.set[3], budget.window)
  budget.kept = budget.requests + budget.tokens + budget.most + budget.paused + budget.own_paused > 0
  return budget
end
