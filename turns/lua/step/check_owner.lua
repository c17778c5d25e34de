-- Ask whether a turn is still in its worker's hands, before a model or a tool is called.
-- FLAGS  no-writes
-- WORK   30 steps
-- KEYS   turn:<id> session:<session>
-- ARGV   id token
-- RETURN kept | superseded
if not owns(id, token) then return { 'superseded' } end
return { 'kept' }
