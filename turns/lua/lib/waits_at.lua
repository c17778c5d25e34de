-- waits_at(model, now) → count, ms. Return how many turns wait for a place in a model's budget, and the longest that one has waited so far:
-- those of 50 tenants on each queue.
local function waits_at(model, now)
  local count, longest = 0, 0
  for queue in rule.queues:gmatch('%S+') do
    local waiting, wait = ready_on(queue .. '@' .. model, now, 50)
    count, longest = count + waiting, math.max(longest, wait)
  end
  return count, longest
end
