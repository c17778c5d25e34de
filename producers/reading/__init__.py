"""Reading of turns while they run, for clients and the gateway."""
