-- Read the summary of the beginning of a history, and its mark: the number of messages that it covers, and a digest of the last of them.
-- One that covers messages which were taken out, or of another history, is removed.
-- FLAGS  allow-oom
-- WORK   50 steps
-- KEYS   conversation:<session> message_store:<session>
-- ARGV   session
-- RETURN mark summary | nothing where there is none
local conversation = key.conversation .. session
local mark, summary = unpack(redis.call('HMGET', conversation, 'summarised', 'summary'))
if not mark then return {} end
if summary and stands(session, mark) then return { mark, summary } end
redis.call('HDEL', conversation, 'summarised', 'summary')
return {}
