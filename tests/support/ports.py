"""Ports for servers of tests."""

import random

from turnstile.deploy.local.ports import free_port


def lasting_port() -> int:
    """Return a free port below those that outgoing connections are given, so that nobody takes it while its server is down."""
    while True:
        wanted = random.randrange(10_000, 32_000)
        if free_port(wanted) == wanted:
            return wanted
