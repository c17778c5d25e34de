"""The client of the request that is served. Once it has left, nobody wants what the request still waits for.

Thousands of requests may be left at one moment while they wait, and nobody else is served for as long as they are.
"""

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from turnstile.producers.gateway.edge.api_errors import ClientGone
from turnstile.producers.gateway.edge.connections import is_gone


class ClientPresence:
    """The presence of one request's client, as far as the request depends on it: until it writes something."""

    def __init__(self, scope: MutableMapping[str, Any]) -> None:
        self._scope = scope
        self._writes = False

    def check(self) -> None:
        """Raise ClientGone if the client has left, and nothing is half done."""
        if not self._writes and is_gone(self._scope):
            raise ClientGone

    def begin_write(self) -> None:
        """Check for the last time: from the first write on, the request goes on to its end."""
        self.check()
        self._writes = True


_current: ContextVar[ClientPresence | None] = ContextVar("client_presence", default=None)


def watch_client(scope: MutableMapping[str, Any]) -> None:
    """Let what is done for a request end with its client's presence."""
    _current.set(ClientPresence(scope))


def check_client(*, writes: bool = False) -> None:
    """Raise ClientGone if the client of the request that is served has left, unless the request has written something.

    `writes`: it is about to.
    """
    if presence := _current.get():
        presence.begin_write() if writes else presence.check()


@contextmanager
def without_client() -> Iterator[None]:
    """Let the block go on when the client has left: others depend on what it does."""
    token = _current.set(None)
    try:
        yield
    finally:
        _current.reset(token)
