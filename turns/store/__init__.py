"""Turns in Redis: one method for each operation."""
