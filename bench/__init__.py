"""How fast Turnstile is, measured beside other ways to do the same: `make bench`."""
