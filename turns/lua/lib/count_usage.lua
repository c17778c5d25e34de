-- count_usage(model, calls, tokens_in, tokens_out, cost). Count the tokens of an attempt, what they cost, and its calls of models, of which
-- each claim counts as one. The model's name is its server's word: one of another form, or of too many, counts as `other`.
local function count_usage(model, calls, tokens_in, tokens_out, cost)
  if calls ~= '1' then redis.call('HINCRBY', key.stats, 'more_calls', calls - 1) end
  if tokens_in == '0' and tokens_out == '0' then return end
  if #model > 100 or not model:find('^[%w._:/@+-]+$') then model = 'other' end
  local name = 'tokens_in{model="' .. model .. '"}'
  -- Only a counter that is new has this value, as a rule.
  if redis.call('HINCRBY', key.stats, name, tokens_in) == tonumber(tokens_in) and model ~= 'other'
    and redis.call('HLEN', key.stats) > rule.most_counters then
    redis.call('HDEL', key.stats, name)
    model = 'other'
    redis.call('HINCRBY', key.stats, 'tokens_in{model="other"}', tokens_in)
  end
  redis.call('HINCRBY', key.stats, 'tokens_out{model="' .. model .. '"}', tokens_out)
  if cost ~= '0' then redis.call('HINCRBY', key.stats, 'cost{model="' .. model .. '"}', cost) end
end
