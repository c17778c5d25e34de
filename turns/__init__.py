"""Turns: their data, and their transitions in Redis."""
