-- accept_turn(id, session, queue, question, options, stream, reply, fingerprint, weight, now, held, thread, when_busy) → place. Accept a turn as
-- `create_turn` does, which also stops the head of its session, should its policy say so. A cut in between is made up for by a
-- repeat, as the turn's record tells whom it is to stop; until then it waits.
local function accept_turn(id, session, queue, question, options, stream, reply, fingerprint, weight, now, held, thread, when_busy)
  local stops = head_to_stop(session, id, when_busy)
  local place = create_turn(id, session, queue, question, options, stream, reply, fingerprint, weight, now, held, thread, stops)
  if not stops then return place end
  stop_head(id, session, now, stops)
  return find_place(id, session, 'queued', queue, now)
end
