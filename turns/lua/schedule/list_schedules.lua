-- List schedules from the `start`th on, at most `limit`: those of a session, or of a tenant (`session` empty), by session and id; or of all
-- (`tenant` `*`), in the order in which they are due. A long question is left out.
-- FLAGS  no-writes
-- WORK   20 steps, and 30 for each of limit
-- KEYS   schedule:<schedule>… schedules:<tenant> schedules_due
-- ARGV   tenant session start limit
-- RETURN (session schedule tick cron zone missed created last left_out refused question)…: ms; the ticks that were asked, and left out, last
local members, found = nil, {}
if tenant == '*' then
  members = redis.call('ZRANGE', key.schedules_due, start, start + limit - 1)
else
  local first, last = '-', '+'
  if session ~= '' then first, last = '[' .. session .. ' ', '(' .. session .. '!' end
  members = redis.call('ZRANGE', key.schedules .. tenant, first, last, 'BYLEX', 'LIMIT', start, limit)
end
for _, member in ipairs(members) do
  local its, schedule = member:match('^(%S+) (%S+)$')
  local record = key.schedule .. schedule
  -- A key to which somebody else has given another type must not hide all others: hence the pcall.
  local facts = redis.pcall('HMGET', record, 'tick', 'cron', 'zone', 'missed', 'created', 'last', 'left_out', 'refused')
  if facts[1] then
    local short = redis.call('HSTRLEN', record, 'question') <= rule.shown_bytes
    facts[#facts + 1] = short and redis.call('HGET', record, 'question') or '""'
    found[#found + 1] = { its, schedule, unpack(facts) }
  end
end
return found
