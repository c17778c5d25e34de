"""Look-ups of webhooks' hosts, told to those who hold a place for them."""

import asyncio
import socket
from contextvars import ContextVar
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from turnstile.workers.lookups import Lookup, Lookups

_MOST_ADDRESSES = 8
_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV

_begun: ContextVar[list[Lookup]] = ContextVar("look-ups of this task")


class Resolver(AbstractResolver):
    """A resolver for an HTTP client.

    Of a host with many addresses the first few count: a request is no scan of a network.
    """

    def __init__(self) -> None:
        self._lookups = Lookups()

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        """Return addresses of a host. Raises OSError."""
        lookup = self._lookups.start((host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG))
        _begun.get([]).append(lookup)
        return [
            ResolveResult(hostname=host, host=address[0], port=address[1], family=kind, proto=protocol, flags=_NUMERIC)
            for kind, _, protocol, _, address in (await asyncio.wrap_future(lookup))[:_MOST_ADDRESSES]
        ]

    async def close(self) -> None:
        """Leave look-ups that do not end."""


def note_lookups() -> list[Lookup]:
    """Return the list to which the look-ups of this task are added from now on."""
    begun: list[Lookup] = []
    _begun.set(begun)
    return begun


def all_ended(lookups: list[Lookup]) -> "asyncio.Future[list[Any]]":
    """Return what is done when look-ups have ended, however they did; a task that was cancelled leaves its own behind."""
    return asyncio.gather(*map(asyncio.wrap_future, lookups), return_exceptions=True)
