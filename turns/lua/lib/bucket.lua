-- bucket(count, least) → text. Return the upper bound of the bucket of a duration in ms, or of a count: a power of two from 2^least (2^4 where
-- there is none) to 2^20, or +Inf.
local function bucket(count, least)
  local _, exponent = math.frexp(math.max(0, count - 1))
  return exponent > 20 and '+Inf' or tostring(2 ^ math.max(least or 4, exponent))
end
