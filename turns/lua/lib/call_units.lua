-- call_units(budget, tokens) → number. Return how many times the price of a turn a call costs in the rotation at a model: by its tokens, of
-- which it pays for a thousandth of a minute's at least.
local function call_units(budget, tokens)
  return math.max(1, call_time(budget, tokens) * 1000 / rule.budget_minute)
end
