-- Keep a summary of the beginning of a history, beside it: compare and set. `after` is the mark of the summary that it was made from, empty
-- for none: another one may have come since. A history that was erased, or has other messages by now, takes none.
-- FLAGS  allow-oom
-- WORK   60 steps
-- KEYS   conversation:<session> message_store:<session> session:<session>
-- ARGV   session after mark summary
-- RETURN written | stale
local conversation = key.conversation .. session
local stored = redis.call('HGET', conversation, 'summarised') or ''
if not stands(session, mark) or stored ~= after and stored ~= mark then return { 'stale' } end
redis.call('HSET', conversation, 'summarised', mark, 'summary', summary)
keep_history(session, redis.call('EXISTS', key.session .. session) == 1)
return { 'written' }
