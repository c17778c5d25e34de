-- first_text(id, now) → ms. Return the time from a turn's acceptance to the first piece of its text; nil if there is none, or if the turn was
-- retried (its mark is 0). `now`: when a text that had none before it comes; false where none comes.
local function first_text(id, now)
  local created, heard = unpack(redis.call('HMGET', key.turn .. id, 'created', 'first_text'))
  heard = tonumber(heard or now or 0)
  return heard > 0 and math.max(0, heard - created) or nil
end
