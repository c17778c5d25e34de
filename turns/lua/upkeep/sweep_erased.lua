-- Remove the next piece of what is left of erased sessions.
-- FLAGS  allow-oom
-- WORK   16,000 steps: one piece
-- KEYS   erasures erased:<number>… turn:<id>… turns:<session>… events:<id>… celery-task-meta-<id>… webhook:<id>… webhooks
--        webhook_lines webhook_line:<key>… webhooks_of:<key>… open failed undelivered stats steps:<thread>…
--        open_turns:<tenant> open_bytes:<tenant>; channel wake:<id>
-- ARGV   (none)
-- RETURN more: 1 while there is more to remove, else 0
return remove_erased() and 1 or 0
