-- drop_kept_steps(thread, state, code). A turn has ended: its graph's steps go. Those of a turn that failed stay for its retry, unless they
-- are why it failed: for a limited time, also after a script that was cut short before it said so.
local function drop_kept_steps(thread, state, code)
  if state ~= 'failed' or code == 'steps_unreadable' then
    redis.call('UNLINK', key.steps .. thread)
  else
    redis.call('PEXPIRE', key.steps .. thread, rule.steps_ttl, 'NX')
  end
end
