"""Ports on loopback."""

import socket

HOST = "127.0.0.1"


def free_port(wanted: int = 0) -> int:
    """Return `wanted` when nobody listens on it, else any free loopback port."""
    with socket.socket() as probe:
        # As servers do: ignore connections that have just ended.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError:
            if not wanted:
                raise
            return free_port()
        port: int = probe.getsockname()[1]
        return port
