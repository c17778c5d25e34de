-- count_steps(chain, steps). Count the steps that a graph took for a turn.
local function count_steps(chain, steps)
  redis.call('HINCRBY', key.stats, 'steps{chain="' .. chain .. '",le="' .. bucket(steps, 0) .. '"}', 1)
  redis.call('HINCRBY', key.stats, 'steps_made{chain="' .. chain .. '"}', steps)
end
