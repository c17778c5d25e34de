-- model_of(turn) → model, requests, tokens, most. Return the budget from which turns like this one took their first call of late, with its
-- limits; nil where none is known. One with large options is not looked at.
local function model_of(turn)
  if redis.call('HSTRLEN', turn, 'options') > rule.most_looked_at then return nil end
  local read, options = pcall(cjson.decode, redis.call('HGET', turn, 'options') or '')
  local function word(name) return read and type(options) == 'table' and type(options[name]) == 'string' and options[name] or '' end
  local noted = redis.call('GET', key.first_call .. word('chain') .. ' ' .. word('model'))
  local known, model, requests, tokens, most = (noted or ''):match('^(%d+) %d+ (.*)=(%d+),(%d+),(%d+)$')
  if known and known == (redis.call('HGET', key.stats, 'known') or '0') then return model, requests, tokens, most end
end
