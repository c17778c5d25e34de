-- spent_fields(budget) → … Return the fields, and their values, of what is spent of a model's budget.
local function spent_fields(budget)
  return 'requests_spent', ('%.3f'):format(budget.requests_spent), 'tokens_spent', ('%.3f'):format(budget.tokens_spent),
    'owed_until', ('%.3f'):format(budget.owed_until), 'owed_by', budget.owed_by or ''
end
