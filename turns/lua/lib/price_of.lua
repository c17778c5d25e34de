-- price_of(weight, units) → count. Return the time that one turn takes from its tenant in the rotation: the more weight, the less. `units`: it
-- costs so many times as much (nil: 1).
local function price_of(weight, units)
  return math.max(1, math.floor(rule.price * (units or 1) / (tonumber(weight or nil) or 1)))
end
