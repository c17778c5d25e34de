"""The site around Turnstile, with programs of the system: reverse proxies, and a Redis that speaks TLS."""
