"""Redis as turns use it: connections, rights, outages."""
