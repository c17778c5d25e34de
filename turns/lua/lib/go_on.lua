-- go_on(session, id, now, state, held, calls, closing, thread). The head has ended in `state`, or its record is gone (no state). With
-- open `calls` it holds its session. One that was to answer the calls of turn `held` and failed leaves them open, and they wait
-- anew; one that was cancelled closes them. Otherwise the next turn goes.
local function go_on(session, id, now, state, held, calls, closing, thread)
  if calls then
    hold(session, id, now, calls, closing, thread or id)
  elseif held and state == 'cancelled' then
    close_hold(session, now)
  elseif held and state ~= 'completed' and state ~= 'incomplete' then
    hold(session, held, now, unpack(redis.call('HMGET', key.session .. session, 'calls', 'closing', 'thread')))
  else
    if held then redis.call('HDEL', key.session .. session, 'held', 'calls', 'closing', 'thread') end
    release(session, now)
  end
end
