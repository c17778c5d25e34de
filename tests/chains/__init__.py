"""Chains that tests give to workers by `TURNSTILE_CHAIN`."""
