-- note_run(steps, id, run, known). Note at a turn's first write the messages that its graph knew at first, and that a run of its own is
-- the one that later answers go on with.
local function note_run(steps, id, run, known)
  if known == '' then return end
  redis.call('HSETNX', steps, known_field(id, run), known)
  if run == id then redis.call('HSET', steps, 'run', run) end
end
