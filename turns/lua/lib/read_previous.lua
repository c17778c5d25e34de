-- read_previous(id) → session, ended, length, state, calls, closing, first. Read the turn that another one follows; `first`: the turn that
-- has its end and its place, which is another one where it was merged with that. Once it has failed it stands for itself, since each is retried alone.
local function read_previous(id)
  local session, ended, length, state, calls, closing, merged =
    unpack(redis.call('HMGET', key.turn .. id, 'session', 'finished', 'history_length', 'state', 'calls', 'closing', 'merged'))
  return session, tonumber(ended or nil), tonumber(length or nil), state, calls, closing, merged and state ~= 'failed' and merged or id
end
