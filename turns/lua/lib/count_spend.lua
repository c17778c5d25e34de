-- count_spend(session, slot, tokens, cost, turns, now, kept). Count what an attempt has spent for its tenant, and the turns that have ended.
-- Sessions without one are counted when the turn had a counted `slot`. `kept`: it is counted for the session as well, where that has a quota of its own; a session of which nothing
-- is stored is none that could be asked again.
local function count_spend(session, slot, tokens, cost, turns, now, kept)
  local tenant = tenant_of(session)
  if tenant == '' and not slot then return end
  note_spent(tenant, tokens, cost, turns, now)
  local limited = kept and redis.call('HGET', key.tenant .. tenant, 'by_session') == '1'
  if limited and redis.call('EXISTS', key.history .. session, key.conversation .. session) > 0 then
    redis.call('HINCRBY', key.conversation .. session, 'tokens', tokens)
    redis.call('HINCRBY', key.conversation .. session, 'cost', cost)
  end
end
