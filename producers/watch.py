"""Wakes the waiting readers of one event loop, all of them over one pub/sub connection.

Every script that notes an event publishes its type on the turn's channel; a reader that hears its bell reads the events from
the stream, so a lost or doubled message costs nothing. A confirmed subscription rings too: after a reconnect all are read.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakKeyDictionary

from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from turns.connection import connect_async
from turns.keys import Keys

SAFETY_POLL_SECONDS = 15.0
_QUIET_SECONDS = 5.0
_LOST_SECONDS = 15.0
_CONNECT_SECONDS = 5.0
_PAUSE_SECONDS = 0.25
_NEWS = frozenset({b"ended", b"erased"})
_Outbox = asyncio.Queue[tuple[bytes | str, ...]]


class Bell:
    """Rings when something happened to one turn. With `ending` only its end counts."""

    def __init__(self, ending: bool) -> None:
        self._ending = ending
        self._rung = asyncio.Event()

    def ring(self, kind: bytes) -> None:
        """Something happened: an event's type, `erased`, or empty when nobody knows."""
        if not (kind and self._ending) or kind in _NEWS:
            self._rung.set()

    async def heard(self, seconds: float) -> None:
        """Wait until it rings, `seconds` at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._rung.wait()
        self._rung.clear()


class Watch:
    """The subscriptions of one event loop at one server."""

    def __init__(self, url: str, keys: Keys) -> None:
        self._url = url
        self._keys = keys
        self._bells: dict[bytes, set[Bell]] = {}
        self._outbox: _Outbox | None = None
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def bell(self, id: str, ending: bool = False) -> Iterator[Bell]:
        """A bell for one turn; it rings once by itself when the subscription stands."""
        bell, channel = Bell(ending), self._keys.wake(id).encode()
        bells = self._bells.setdefault(channel, set())
        bells.add(bell)
        if len(bells) == 1:
            self._say("SUBSCRIBE", channel)
        else:
            bell.ring(b"")
        try:
            yield bell
        finally:
            bells.discard(bell)
            if not bells:
                del self._bells[channel]
                self._say("UNSUBSCRIBE", channel)

    async def close(self) -> None:
        """End the connection. Readers that still wait fall back to their safety poll."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def _say(self, *words: bytes | str) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="turnstile-watch")
        # What cannot be said now is said with everything else when the connection stands again.
        if self._outbox is not None:
            self._outbox.put_nowait(words)

    async def _run(self) -> None:
        while True:
            connection = _new_connection(self._url)
            try:
                await self._converse(connection)
            except* (RedisError, OSError):
                pass
            finally:
                self._outbox = None
                await connection.disconnect(nowait=True)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _converse(self, connection: AbstractConnection) -> None:
        async with asyncio.timeout(_CONNECT_SECONDS):
            await connection.connect()  # type: ignore[no-untyped-call]  # untyped in redis-py
        self._outbox = asyncio.Queue()
        self._outbox.put_nowait(("SUBSCRIBE", self._keys.wake(), *self._bells))
        async with asyncio.TaskGroup() as group:
            group.create_task(_talk(connection, self._outbox))
            group.create_task(self._listen(connection, self._outbox))

    async def _listen(self, connection: AbstractConnection, outbox: _Outbox) -> None:
        silence = 0.0
        while silence < _LOST_SECONDS:
            reply = await connection.read_response(timeout=_QUIET_SECONDS, disconnect_on_error=False, push_request=True)
            silence = silence + _QUIET_SECONDS if reply is None else 0.0
            if reply is None:
                outbox.put_nowait(("PING",))
            elif isinstance(reply, list) and len(reply) == 3:
                self._hear(*reply)
        raise ConnectionError("the server is silent")

    def _hear(self, kind: bytes, channel: bytes, data: Any) -> None:
        for bell in self._bells.get(channel, ()):
            if kind == b"message":
                bell.ring(data)
            elif kind == b"subscribe":
                bell.ring(b"")


async def _talk(connection: AbstractConnection, outbox: _Outbox) -> None:
    while True:
        await connection.send_command(*await outbox.get())


def _new_connection(url: str) -> AbstractConnection:
    pool = connect_async(url).connection_pool
    # With a socket_timeout redis-py writes under asyncio.wait_for, which on Python 3.11 can swallow our cancellation.
    own = {"retry": Retry(NoBackoff(), 0), "health_check_interval": 0, "socket_timeout": None}
    connection: AbstractConnection = pool.connection_class(**{**pool.connection_kwargs, **own})
    return connection


_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, Keys], Watch]] = WeakKeyDictionary()


def watch_at(url: str, keys: Keys) -> Watch:
    """The running loop's watch at this server."""
    watches = _watches.setdefault(asyncio.get_running_loop(), {})
    return watches.setdefault((url, keys), Watch(url, keys))
