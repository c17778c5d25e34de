-- carry_out_end(id, session, now, ended, again). Carry out what a turn's end brings with it: history, events, time to live, the
-- result that a plain Celery app waits for, webhook. `ended` holds what the record says, with `elements` and `after` (the
-- sequence before the end); `again`: some of this was done before a script was cut short.
local function carry_out_end(id, session, now, ended, again)
  local turn, events, state = key.turn .. id, key.events .. id, ended.state
  append_history(session, ended.elements, again)
  local sequence = tonumber(ended.after)
  if ended.rest then sequence = append_event(id, 'text', ended.attempts, ended.rest, sequence) end
  sequence = append_event(id, 'ended', ended.attempts, state, sequence)
  if sequence ~= tonumber(ended.sequence) then redis.call('HSET', turn, 'sequence', sequence) end
  redis.call('PUBLISH', key.wake .. id, 'ended')
  local ttl = state == 'failed' and rule.failed_ttl or rule.result_ttl
  redis.call('PEXPIRE', events, math.min(rule.events_ttl, ttl))
  redis.call('ZADD', key.turns .. session, now, id)
  if redis.call('PEXPIRE', key.turns .. session, rule.failed_ttl, 'GT') == 0 then redis.call('PEXPIRE', key.turns .. session, rule.failed_ttl, 'NX') end
  redis.call('ZREM', key.open, id)
  drop_unfinished(tenant_of(session), { id })
  if state == 'failed' then
    redis.call('ZADD', key.failed, now, id)
    drop_old(key.failed, now - rule.failed_ttl)
  else
    -- A retry that was cut short has left it there.
    redis.call('ZREM', key.failed, id)
  end
  if ended.reply == '1' then redis.call('SET', key.celery_result .. id, celery_result(id, state, ended), 'PX', rule.result_ttl) end
  queue_webhook(id, now, state, ended.options or '', sequence, ended.code, ended.calls)
  if not ended.calls then drop_kept_steps(ended.thread or id, state, ended.code) end
  redis.call('PEXPIRE', turn, ttl + (ended.calls and rule.hold or 0))
  redis.call('HDEL', turn, 'owed', 'rest')
end
