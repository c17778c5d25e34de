"""A worker's process: its start, its event loop, its health, and its end."""
