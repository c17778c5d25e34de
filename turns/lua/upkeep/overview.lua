-- List what operators look at, at most `limit` of each kind: turns at work, the longest first, of 1,000; of the 1,000 oldest turns those
-- that wait, one of each session; turns that failed last; held sessions; models that have a budget. And what was noted in the last hour.
-- FLAGS  no-writes
-- WORK   70,000 steps, and 2,700 for each of limit: 1,000 tenants wait for all models, or 50 for each
-- KEYS   workers owned:<worker>… session:<session>… mailbox:<session>… turn:<id>… open failed held minutes budgets budget:<model>…
--        calls:<model>… promised:<model>… rotation:<queue> parked:<queue> ready:<line>…
-- ARGV   limit
-- RETURN at running waiting failed held budgets minutes: ms, and a list of each. A turn is id phase worker behind (fields)…: how many stand
--        behind it in its session; a session is its name and ms; a budget is model requests tokens most requests_spent tokens_spent
--        paused calls waiting longest; a minute is its number and JSON
local now, limit, running, waiting, failed, budgets, minutes, left = clock(), tonumber(limit), {}, {}, {}, {}, {}, 1000
local function facts(id, phase, worker, behind)
  local fields = redis.call('HMGET', key.turn .. id, 'session', 'queue', 'created', 'started', 'finished', 'attempts', 'spent', 'waits_for', 'code', 'forgiven')
  return { id, phase, worker, behind, unpack(fields) }
end

for _, worker in ipairs(redis.call('HRANDFIELD', key.workers, 2000)) do
  local room = math.min(100, 1000 - #running)
  if room == 0 then break end
  for _, session in ipairs(redis.call('SRANDMEMBER', key.owned .. worker, room)) do
    local id = redis.call('HGET', key.session .. session, 'head') or ''
    local state, started = unpack(redis.call('HMGET', key.turn .. id, 'state', 'started'))
    if state == 'running' then running[#running + 1] = { id, worker, session, tonumber(started or 0) } end
  end
end
table.sort(running, function(one, other) return one[4] < other[4] end)
for place, found in ipairs(running) do
  running[place] = place <= limit and facts(found[1], 'running', found[2], redis.call('LLEN', key.mailbox .. found[3])) or nil
end

local seen = {}
for _, id in ipairs(redis.call('ZRANGE', key.open, 0, 999)) do
  if #waiting == limit then break end
  local session, state = unpack(redis.call('HMGET', key.turn .. id, 'session', 'state'))
  if state == 'queued' and not seen[session] then
    seen[session] = true
    local head, phase = unpack(redis.call('HMGET', key.session .. session, 'head', 'phase'))
    local own = head == id or phase == 'held' or phase == 'closing'
    waiting[#waiting + 1] = facts(id, own and phase or 'blocked', '', redis.call('LLEN', key.mailbox .. session))
  end
end

for place, id in ipairs(redis.call('ZRANGE', key.failed, 0, limit - 1, 'REV')) do failed[place] = facts(id, 'failed', '', 0) end
for place, model in ipairs(redis.call('ZRANGE', key.budgets, 0, limit - 1)) do
  local budget, waits, longest = read_budget(model)
  waits, longest, left = waits_at(model, now, left)
  local calls = redis.call('ZCARD', key.calls .. model) + redis.call('ZCARD', key.promised .. model)
  local spent = { ('%.0f'):format(budget.requests_spent), ('%.0f'):format(budget.tokens_spent), ('%.0f'):format(math.max(budget.paused, budget.own_paused)) }
  budgets[place] = { model, budget.requests, budget.tokens, budget.most, spent[1], spent[2], spent[3], calls, waits, longest }
end
local notes = redis.call('HGETALL', key.minutes)
for i = 2, #notes, 2 do
  if (tonumber(notes[i]:match('^%d+')) or 0) > now / rule.minute - 62 then minutes[#minutes + 1] = notes[i] end
end
return { now, running, waiting, failed, redis.call('ZRANGE', key.held, 0, limit - 1, 'WITHSCORES'), budgets, minutes }
