"""Word to the manager that started this process, by systemd's protocol: that it is ready, and that it is alive."""

import os
import socket
from contextlib import suppress

READY, ALIVE = "READY=1", "WATCHDOG=1"
_VARIABLE = "NOTIFY_SOCKET"


def tell(word: str) -> None:
    """Send a word; does nothing where no manager listens, and never waits."""
    if where := os.environ.get(_VARIABLE, ""):
        address = f"\0{where[1:]}" if where.startswith("@") else where
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.setblocking(False)
            manager.sendto(word.encode(), address)
