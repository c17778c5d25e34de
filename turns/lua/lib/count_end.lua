-- count_end(ended, now, started, queue, chain, heard). Count the end of a turn: by state, queue, chain and code, and by the time since
-- its first start, if it was started. `chain` is nil where no worker ended it, and `heard` where no text was streamed.
local function count_end(ended, now, started, queue, chain, heard)
  local ran, labels = started and math.max(0, now - started), (queue or '') .. '",chain="' .. (chain or '')
  redis.call('HINCRBY', key.stats, ended.state .. '{queue="' .. labels .. (ended.code and '",code="' .. ended.code or '')
    .. (ran and '",le="' .. bucket(ran) or '') .. '"}', 1)
  if ran then redis.call('HINCRBY', key.stats, 'run_ms{queue="' .. labels .. '"}', ran) end
  if not heard then return end
  redis.call('HINCRBY', key.stats, 'streamed{queue="' .. queue .. '",le="' .. bucket(heard) .. '"}', 1)
  redis.call('HINCRBY', key.stats, 'first_text_ms{queue="' .. queue .. '"}', heard)
end
