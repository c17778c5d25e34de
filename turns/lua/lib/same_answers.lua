-- same_answers(session, fingerprint) → turn state. Return the turn that brought the same answers to a session last, when they were
-- the last that came; false for others, or when its record is gone.
local function same_answers(session, fingerprint)
  local noted = redis.call('GET', key.answered .. session)
  local mark, turn = (noted or ''):match('^(%S+) (%S+)$')
  if mark ~= fingerprint then return false end
  local seen, state = unpack(redis.call('HMGET', key.turn .. turn, 'fingerprint', 'state'))
  if seen ~= fingerprint then return false end
  return turn, state
end
