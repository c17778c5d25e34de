"""Ports for servers of tests."""

import fcntl
import os
import tempfile
from pathlib import Path

from turnstile.deploy.local.ports import free_port

_FIRST, _END = 10_000, 32_000
"""Below those that outgoing connections are given, so that nobody takes one while its server is down."""
_LAST = Path(tempfile.gettempdir()) / f"turnstile-tests-last-port-{os.getuid()}"


def lasting_port() -> int:
    """Return a free port that no other test is given, in any process: a server binds it only when it has started."""
    while True:
        port = _next()
        if free_port(port) == port:
            return port


def _next() -> int:
    with _LAST.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        last = int(file.read() or _FIRST)
        port = _FIRST + (last + 1 - _FIRST) % (_END - _FIRST)
        file.truncate(0)
        file.write(str(port))
        return port
