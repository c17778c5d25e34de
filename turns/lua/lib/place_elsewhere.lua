-- place_elsewhere(models, since, tenant, now, wants, full) → table, ms. Return the first budget with a place among those of other models, and when
-- that is, for a tenant's turn that has others `since` a moment; nil where there is none, or that moment is to come. `models` are names
-- with the limits that the settings give (`name=requests,tokens,most`). Those who wait for such a model itself go first. One that is found
-- `full` for everybody is not looked at again for as many tokens.
local function place_elsewhere(models, since, tenant, now, wants, full)
  if not models or tonumber(since or 0) > now then return nil end
  for model, requests, tokens, most in models:gmatch('(%S+)=(%d+),(%d+),(%d+)') do
    if wants < (full[model] or math.huge) then
      local budget = read_budget(model, requests, tokens, most)
      local at = next_call(budget, tenant, now, wants)
      if at <= now + rule.budget_ahead and not others_wait(budget, now, at) and not slots_late(model, now) then return budget, at end
      if budget.tenant ~= tenant and budget.owed_by ~= tenant then full[model] = wants end
    end
  end
end
