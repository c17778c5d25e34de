"""The deployment at a glance, for operators: what `turnstile top` and the page `/admin` show."""
