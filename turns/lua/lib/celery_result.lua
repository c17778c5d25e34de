-- celery_result(id, state, fields) → JSON. Tell a plain Celery app that waits for the turn how it ended, in Celery's own form.
local function celery_result(id, state, fields)
  local result = { task_id = id, status = 'FAILURE', traceback = cjson.null, children = {}, date_done = cjson.null }
  if state == 'completed' or state == 'incomplete' then
    result.status, result.result = 'SUCCESS', fields.answer or ''
  elseif fields.revoked then
    result.status = 'REVOKED'
    result.result = { exc_type = 'TaskRevokedError', exc_message = { 'revoked' }, exc_module = 'celery.exceptions' }
  else
    local kind = state == 'cancelled' and 'TurnCancelled' or 'TurnFailed'
    local words = { fields.code or state, fields.message or 'The turn was cancelled.' }
    if state == 'cancelled' then words = { words[2] } end
    result.result = { exc_type = kind, exc_message = words, exc_module = 'turns.errors' }
  end
  local text = cjson.encode(result):gsub('"children":{}', '"children":[]', 1)
  redis.call('PUBLISH', key.celery_result .. id, text)
  return text
end
