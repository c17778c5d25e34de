"""Client programs, unchanged, against one gateway: `make test-clients`."""
