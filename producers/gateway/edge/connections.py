"""The server's connections: how many may be open, and how long each may take over a head or an answer.

No application sees a connection before a request's head is whole, and uvicorn gives it any time for that. So the application
has uvicorn make its connections by the classes below, which it tells uvicorn when the lifespan begins: no socket listens yet.
"""

import asyncio
import resource
from collections.abc import MutableMapping
from contextlib import suppress
from time import monotonic
from typing import Any
from weakref import ref

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from turnstile.producers.gateway.edge.bounded_reading import BoundedReading
from turnstile.turns.repeated_errors import RepeatedWarnings

_warnings = RepeatedWarnings(__name__)

HEAD_SECONDS = 10.0
"""Time for a request's head, from the connection or the head's first byte on."""
WRITE_SECONDS = 30.0
"""Time for a client to read the next WRITE_BYTES of an answer."""
WRITE_BYTES = 16_384
"""Bytes that a connection buffers before its next piece has to wait. No key's account has them."""
MOST_CONNECTIONS = 10_000

_EXCHANGE = "turnstile.exchange"
"""Entry of an ASGI scope: the server's own object for the request and its answer."""
_SPARE_FILES = 128
_SWEEP_SECONDS = 1.0


def watch_connections(send: Any) -> bool:
    """Have the server of a lifespan's `send` watch its connections. Return False for a server that is not uvicorn."""
    config: Any = getattr(getattr(send, "__self__", None), "config", None)
    protocol = getattr(config, "http_protocol_class", None)
    if not (isinstance(protocol, type) and issubclass(protocol, (HttpToolsProtocol, H11Protocol))):
        return False
    config.http_protocol_class = type(f"Watched{protocol.__name__}", (_Watched, protocol), {"watch": Watch(raise_file_limit())})
    config.ws_protocol_class = None
    return True


def raise_file_limit() -> int:
    """Raise the process's limit of open files as far as it may, and return how many of them connections may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    files = MOST_CONNECTIONS + _SPARE_FILES if soft == resource.RLIM_INFINITY else soft
    return min(MOST_CONNECTIONS, max(files - _SPARE_FILES, files // 2))


def is_gone(scope: MutableMapping[str, Any]) -> bool:
    """Return True where a request's client is known to have disconnected."""
    exchange = _exchange(scope)
    return bool(exchange and exchange.disconnected)


def break_off(scope: MutableMapping[str, Any]) -> None:
    """Close the connection of a request whose answer stays without its end. The server would do so, too, and log an error."""
    if exchange := _exchange(scope):
        exchange.disconnected = True
        exchange.transport.close()


def _exchange(scope: MutableMapping[str, Any]) -> Any:
    return scope[_EXCHANGE]() if _EXCHANGE in scope else None


class Watch:
    """A server's open connections, at most `most`: for a further one, the one that has been idle longest is closed."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: dict[_Watched, None] = {}
        self._idle: dict[_Watched, None] = {}
        self._sweeping = False

    def add(self, connection: "_Watched") -> None:
        """Watch a new connection; it is closed itself when every other one has a request."""
        self._open[connection] = self._idle[connection] = None
        if len(self._open) > self._most:
            self._make_room()
        if not self._sweeping:
            self._sweeping = True
            connection.loop.call_later(_SWEEP_SECONDS, self._sweep, connection.loop)

    def remove(self, connection: "_Watched") -> None:
        """Forget a connection."""
        self._open.pop(connection, None)
        self._idle.pop(connection, None)

    def note(self, connection: "_Watched") -> None:
        """Note that a connection has begun or ended a request."""
        self._idle.pop(connection, None)
        if connection in self._open and not connection.busy:
            self._idle[connection] = None

    def _make_room(self) -> None:
        longest = next(iter(self._idle))
        self.remove(longest)
        longest.transport.abort()
        _warnings.warn(f"all {self._most:,} connections are in use: the idle ones make room, the oldest first")

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = monotonic()
        for connection in list(self._open):
            connection.check(now)
        self._sweeping = bool(self._open)
        if self._sweeping:
            loop.call_later(_SWEEP_SECONDS, self._sweep, loop)


class _Watched(BoundedReading):
    """A connection with deadlines and bounds, before one of uvicorn's protocols in the order of classes."""

    watch: Watch

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a head."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=WRITE_BYTES)
        self._answering: Any = None
        self._head_since: float | None = monotonic()
        self._unread, self._read_at = 0, monotonic()
        self.watch.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection. uvicorn tells the newest of pipelined requests; the one being answered is told, too."""
        self.watch.remove(self)
        if self._answering:
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)

    def take(self, piece: bytes) -> None:
        """Pass on a piece of what the client sends, and note when it begins a request."""
        was_busy = self.busy
        super().take(piece)
        if self.busy:
            self._head_since = None
            self.cycle.scope.setdefault(_EXCHANGE, ref(self.cycle))
        else:
            self._head_since = self._head_since or monotonic()
        if self.busy != was_busy:
            self.watch.note(self)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)  # type: ignore[misc]  # uvicorn's, with httptools

    def on_response_complete(self) -> None:
        """Become idle, unless another request has come already."""
        super().on_response_complete()
        self.watch.note(self)

    def resume_writing(self) -> None:
        """Note that the client reads."""
        self._read_at = monotonic()
        super().resume_writing()

    def check(self, now: float) -> None:
        """Close the connection when its head is late, or when nobody reads its answer."""
        if self._head_since is not None and now - self._head_since > HEAD_SECONDS and not self.busy:
            self.transport.abort()
        unread = self.transport.get_write_buffer_size()
        writing = unread and (self.flow.write_paused or not self.busy or self.transport.is_closing())
        if not writing or unread <= self._unread - WRITE_BYTES:
            self._unread, self._read_at = unread, now
        elif now - self._read_at > WRITE_SECONDS:
            self.transport.abort()

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: any client can ask for an upgrade."""
