-- note_refusal(budget, tenant, asked, nothing_left, now, change). Pause a model whose server asks a call of a tenant for patience: `asked` ms, 0
-- for a time of our own choice. It pauses for that tenant, whose question alone may be the reason. It pauses for everybody when the server
-- says that nothing is left, or refuses a call of another tenant while that pause lasts; then for as long as both are to wait.
local function note_refusal(budget, tenant, asked, nothing_left, now, change)
  local other = budget.tenant and budget.tenant ~= tenant
  local shared = nothing_left or other and budget.own_paused > now
  local of = shared and '' or 'own_'
  if shared and not nothing_left then asked = math.min(asked, budget.own_paused - now) end
  if not shared then
    if other then budget.own_strikes = 0 end
    budget.tenant = tenant
    change('tenant', tenant)
  end
  local paused, strikes = budget[of .. 'paused'], budget[of .. 'strikes']
  if paused <= now then
    change(of .. 'strikes', strikes + 1)
    change(of .. 'window', 1)
    if asked <= 0 then asked = rule.retry_base * 2 ^ math.min(strikes, 20) end
  end
  budget[of .. 'paused'] = math.max(paused, now + math.min(asked, rule.longest_retry))
  change(of .. 'paused', budget[of .. 'paused'])
end
