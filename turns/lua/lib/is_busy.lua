-- is_busy(session, id) → boolean. Return whether another turn than `id` is at the head of a session: it runs, or is to run next.
local function is_busy(session, id)
  local head = redis.call('HGET', key.session .. session, 'head')
  return head and head ~= id
end
