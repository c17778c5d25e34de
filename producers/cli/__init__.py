"""The command line: `turnstile`."""
