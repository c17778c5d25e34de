"""`turnstile top`: the deployment at a glance."""
