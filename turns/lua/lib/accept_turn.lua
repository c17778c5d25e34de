-- accept_turn(id, session, queue, question, options, outline, stream, reply, fingerprint, weight, now, held, thread, when_busy) → place. Accept a turn as
-- `create_turn` does, by its policy: it stops or steers the head of its session, or is marked to be merged. A cut in between is made up for by
-- a repeat, as the turn's record tells whom it is to stop; until then it waits.
local function accept_turn(id, session, queue, question, options, outline, stream, reply, fingerprint, weight, now, held, thread, when_busy)
  local stops, merges = head_to_stop(session, id, when_busy, outline ~= '' and outline or options), when_busy:find('^merge ')
  local noted = stops and { 'stops', stops } or {}
  if merges or stops and when_busy == 'steer' then noted[#noted + 1], noted[#noted + 2] = 'busy', when_busy end
  local wait = merges and rule.quiet > 0 and rule.quiet or nil
  local place = create_turn(id, session, queue, question, options, outline, stream, reply, fingerprint, weight, now, held, thread, noted, wait)
  if wait then wait_for_quiet(session, now) end
  if not stops then return place end
  stop_head(id, session, now, stops)
  return find_place(id, session, 'queued', queue, now)
end
