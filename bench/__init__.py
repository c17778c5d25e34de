"""Benchmarks of Turnstile beside other ways to do the same: `make bench`."""
