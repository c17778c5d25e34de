-- outage_grace(now, worker) → ms, ms, ms. Note that a worker is heard (empty: somebody else calls); until when nothing is taken from
-- anybody, since when calls have come without a break, and the latest time from which the clock was ever set back. After an outage leases have run out and nobody listens yet: whoever
-- was there before it gets as long as it lasted to come back, a lease at most. A worker that is new waits for nobody: it may
-- stand in for one that is dead. Not twice in a row, or calls that are always late would take nothing ever.
local function outage_grace(now, worker)
  local stats = redis.call('HMGET', key.stats, 'called', 'since', 'grace', 'patience', 'set_back_from')
  local called, since = tonumber(stats[1] or now), tonumber(stats[2] or 0)
  local grace, patience = tonumber(stats[3] or 0), tonumber(stats[4] or 0)
  local set_back_from = tonumber(stats[5] or 0)
  local heard = worker == '' and 0 or tonumber(redis.call('ZSCORE', key.heard, worker) or now)
  -- The call counts last: one that is cut short here is none.
  if worker ~= '' then redis.call('ZADD', key.heard, now, worker) end
  redis.call('HSET', key.stats, 'called', now)
  -- A clock that was set back tells nothing of how long it was.
  if called > math.max(now, set_back_from) then
    set_back_from = called
    redis.call('HSET', key.stats, 'set_back_from', called)
  end
  local silence = called > now and rule.patience or now - called
  if called > now or (silence > rule.silence and patience < called) then
    since, grace = now, math.min(silence, rule.patience)
    redis.call('HSET', key.stats, 'since', since, 'grace', grace)
  end
  if called > now then bring_to_clock(now) end
  if (heard < since or heard > now) and since + grace > patience then
    patience = since + grace
    redis.call('HSET', key.stats, 'patience', patience)
  end
  return math.min(patience, now + rule.patience), since, set_back_from
end
