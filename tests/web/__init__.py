"""Tests that need node, Chromium or another model server: `make test-web`."""
