"""What needs node, Chromium or a model server of others: `make test-web`."""
