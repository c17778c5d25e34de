-- result_file(batch, outcome) → file. Return the id of the file that holds a batch's results with an outcome, `completed` or `failed`.
local function result_file(batch, outcome)
  return ('file-%s_%s'):format(outcome, batch)
end
