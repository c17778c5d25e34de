-- drop_kept_steps(thread, state, code). A turn has ended: its graph's steps go. Those of a turn that failed stay for its retry, unless they
-- are why it failed.
local function drop_kept_steps(thread, state, code)
  if state ~= 'failed' or code == 'steps_unreadable' then redis.call('UNLINK', key.steps .. thread) end
end
