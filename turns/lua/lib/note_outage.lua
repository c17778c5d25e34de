-- note_outage(kind, id, now, ends). A turn of a kind is put off until a moment because its model's server was away: it goes sooner when the server
-- answers. Of those whose pause is over, 20 are forgotten.
local function note_outage(kind, id, now, ends)
  local put_off = key.outage .. kind
  redis.call('ZADD', put_off, ends, id)
  redis.call('PEXPIRE', put_off, rule.longest_retry + rule.grace)
  for _, other in ipairs(redis.call('ZRANGEBYSCORE', put_off, '-inf', now, 'LIMIT', 0, 20)) do redis.call('ZREM', put_off, other) end
end
