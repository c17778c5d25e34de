"""Chaos: the whole system at work while everything it stands on is broken, and a checker of what is left."""
