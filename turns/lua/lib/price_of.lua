-- price_of(weight) → count. Return the time that one turn takes from its tenant in the rotation: the more weight, the less.
local function price_of(weight)
  return math.max(1, math.floor(rule.price / (tonumber(weight or nil) or 1)))
end
