-- count_unfinished(session, id, now, bytes). Count an accepted turn as one that its tenant has not finished, and the bytes of what is asked, if
-- they are many; in one write with their sum, so that a cut parts neither from the other.
local function count_unfinished(session, id, now, bytes)
  local tenant = tenant_of(session)
  if tenant ~= '' then
    redis.call('ZADD', key.open_turns .. tenant, now, id)
    know_tenant(tenant, now)
  end
  if bytes <= rule.small_turn then return end
  local sum, known = unpack(redis.call('HMGET', key.open_bytes .. tenant, '', id))
  if not known then redis.call('HSET', key.open_bytes .. tenant, '', (sum or 0) + bytes, id, bytes) end
end
