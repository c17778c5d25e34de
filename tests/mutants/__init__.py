"""Deliberate faults in the scripts and the worker: each must be caught by a test, or a test is missing."""
