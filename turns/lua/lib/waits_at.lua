-- waits_at(model, now, most) → count, ms, count. Return how many turns wait for a place in a model's budget, and the longest that one has waited
-- so far: those of `most` tenants, and of 50 on each queue at least. Also how many more tenants may be looked at.
local function waits_at(model, now, most)
  local count, longest = 0, 0
  for queue in rule.queues:gmatch('%S+') do
    local waiting, wait, left = ready_on(queue .. '@' .. model, now, math.max(50, most))
    count, longest, most = count + waiting, math.max(longest, wait), left
  end
  return count, longest, most
end
