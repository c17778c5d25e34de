"""All of Turnstile on one machine: the embedded server, and the Procfile's commands under one supervisor."""
