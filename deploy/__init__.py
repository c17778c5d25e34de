"""Deployment: on one machine, in containers, under systemd."""
