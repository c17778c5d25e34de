"""One attempt at one turn."""
