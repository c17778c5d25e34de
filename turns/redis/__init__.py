"""Redis: addresses, connections, keys, and scripts."""
