-- count_results(batch, outcome) → count, bytes. Return how many results a batch has with an outcome, and what they take. The hash has
-- a field beside them: their bytes.
local function count_results(batch, outcome)
  local results = key.results .. result_file(batch, outcome)
  return math.max(0, redis.call('HLEN', results) - 1), tonumber(redis.call('HGET', results, 'bytes')) or 0
end
