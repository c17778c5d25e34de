-- owns(id, token) → boolean. True while a turn runs at the head of its session under this owner token.
local function owns(id, token)
  local session, state = unpack(redis.call('HMGET', key.turn .. id, 'session', 'state'))
  local head, owner = unpack(redis.call('HMGET', key.session .. (session or ''), 'head', 'owner'))
  return state == 'running' and head == id and owner == token
end
