-- Tell plain Celery apps that a turn was not accepted, and so none of the tasks that were to follow it. Where there is a turn
-- of that id, its result stays.
-- FLAGS  allow-oom
-- WORK   30 steps, and 15 for each of ids
-- KEYS   turn:<id>… celery-task-meta-<id>… stats
-- ARGV   (ids results)…: the first is the one that was refused
-- RETURN refused | taken
local id, result = ids[1], results[1]
if redis.call('EXISTS', key.turn .. id) == 1 then return { 'taken' } end
local told = redis.call('TYPE', key.celery_result .. id).ok == 'string' and redis.call('GET', key.celery_result .. id)
if told == result then return { 'refused' } end

-- Its own result goes last: by that a repeat tells that all is done.
for i = #ids, 1, -1 do
  if redis.call('EXISTS', key.turn .. ids[i]) == 0 then
    redis.call('SET', key.celery_result .. ids[i], results[i], 'PX', rule.result_ttl)
    redis.call('PUBLISH', key.celery_result .. ids[i], results[i])
  end
end
redis.call('HINCRBY', key.stats, 'refused', 1)
return { 'refused' }
