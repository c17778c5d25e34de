-- bucket(ms) → text. Return the upper bound, in ms, of the bucket of a duration: a power of two from 16 to 2^20, or +Inf.
local function bucket(ms)
  local _, exponent = math.frexp(math.max(0, ms - 1))
  return exponent > 20 and '+Inf' or tostring(2 ^ math.max(4, exponent))
end
