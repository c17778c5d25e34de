-- drop_webhooks(ids). Nobody is told of the ends of these turns any more: their webhooks go from wherever they stand, 1,000 at most. The
-- records go last, since they name the lines.
local function drop_webhooks(ids)
  redis.call('ZREM', key.undelivered, unpack(ids))
  local lines, records = {}, {}
  for place, id in ipairs(ids) do records[place] = key.webhook .. id end
  if redis.call('EXISTS', unpack(records)) == 0 then return end
  for place, id in ipairs(ids) do
    local its = redis.pcall('HGET', records[place], 'key')
    if type(its) == 'string' then
      lines[its] = lines[its] or {}
      table.insert(lines[its], id)
    end
  end
  for its, standing in pairs(lines) do
    redis.call('ZREM', key.webhook_line .. its, unpack(standing))
    redis.call('ZREM', key.webhooks_of .. its, unpack(standing))
    if redis.call('EXISTS', key.webhook_line .. its) == 0 then redis.call('ZREM', key.webhook_lines, its) end
  end
  redis.call('ZREM', key.webhooks, unpack(ids))
  redis.call('UNLINK', unpack(records))
end
