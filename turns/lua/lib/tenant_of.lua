-- tenant_of(session) → text. Return the tenant that a session's name begins with; empty for the one that has no name.
local function tenant_of(session)
  return session:match('^([^/]*)/') or ''
end
