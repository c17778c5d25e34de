"""Look-ups of hosts, each in a thread of its own.

uvloop looks all names of a process up in four threads. A name server that does not answer takes one for up to a minute, so the
hosts of a few webhooks would keep the model's server and Redis from being found.
"""

import asyncio
import socket
from concurrent.futures import Future
from threading import Thread
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

_MOST = 200
_MOST_ADDRESSES = 8
_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV

Found = list[tuple[Any, ...]]


class Lookups(AbstractResolver):
    """A resolver for an HTTP client. Who asks for a host that is being looked up waits for the same answer.

    Of a host with many addresses the first few count: a request is no scan of a network.
    """

    def __init__(self) -> None:
        self._under_way: dict[tuple[str, int, int], asyncio.Future[Found]] = {}

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        """Return addresses of a host. Raises OSError."""
        what = (host, port, int(family))
        if what not in self._under_way:
            if len(self._under_way) >= _MOST:
                raise OSError("too many look-ups do not end")
            found = self._under_way[what] = asyncio.wrap_future(_look_up(*what))
            found.add_done_callback(lambda _: self._under_way.pop(what, None))
        # A look-up cannot be cancelled, and others may wait for it.
        return [
            ResolveResult(hostname=host, host=address[0], port=address[1], family=kind, proto=protocol, flags=_NUMERIC)
            for kind, _, protocol, _, address in (await asyncio.shield(self._under_way[what]))[:_MOST_ADDRESSES]
        ]

    async def close(self) -> None:
        """Leave look-ups that do not end."""


def _look_up(host: str, port: int, family: int) -> "Future[Found]":
    found: Future[Found] = Future()

    def look() -> None:
        try:
            found.set_result(socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG))
        except (OSError, UnicodeError) as error:
            found.set_exception(error if isinstance(error, OSError) else OSError("no name of a host"))

    # The interpreter's end waits for no daemon.
    Thread(target=look, name="look-up", daemon=True).start()
    return found
