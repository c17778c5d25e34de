"""Ports on loopback."""

import socket

from turnstile.deploy.local.errors import PortTaken

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


def chosen_port(name: str, wanted: int | None, usual: int) -> int:
    """Return the port that was asked for, else the usual one or, when that is taken, any free one.

    Raises:
        PortTaken: the port that was asked for is in use.
    """
    port = free_port(wanted or usual)
    if wanted and port != wanted:
        raise PortTaken(f"port {wanted} for {name} is in use: give another with --{name}-port, or end the program that has it")
    return port
