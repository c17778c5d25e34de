"""A pub/sub connection that is alive or replaced: for one event loop.

Nothing is owed to a subscriber, so a dead connection looks like a quiet one. Here the server is asked all the time whether it
is there; and where the loop's other calls had to connect anew, perhaps to another server, this connection follows at once.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError, ResponseError

from turnstile.turns.asyncio_tasks import run_together
from turnstile.turns.redis.connection import connect_async, multiplexer
from turnstile.turns.redis.multiplexer import CONNECT_SECONDS, OWN
from turnstile.turns.redis.silence import watch_for_silence
from turnstile.turns.redis.single import open_beside
from turnstile.turns.repeated_errors import RepeatedWarnings

_PAUSE_SECONDS = 0.1

_Outbox = asyncio.Queue[tuple[bytes | str, ...]]
Hear = Callable[[bytes, bytes, bytes], None]


class Subscription:
    """Channels at one server. `hear` is given each message: its kind (`message`, `subscribe`…), channel and data.

    Messages are lost while it reconnects; a `subscribe` for every channel tells when it stands again.
    """

    def __init__(self, url: str, hear: Hear) -> None:
        self._url = url
        self._hear = hear
        self._channels: dict[bytes, None] = {}
        self._outbox: _Outbox | None = None
        self._heard = 0
        self._beat: Callable[[], None] = lambda: None
        self._stale = asyncio.Event()
        self._warnings = RepeatedWarnings(__name__)

    def add(self, channel: str) -> None:
        """Subscribe to one more channel."""
        self._channels[channel.encode()] = None
        self._say("SUBSCRIBE", channel)

    def remove(self, channel: str) -> None:
        """Subscribe to it no longer."""
        self._channels.pop(channel.encode(), None)
        self._say("UNSUBSCRIBE", channel)

    async def run(self, beat: Callable[[], None] = lambda: None) -> None:
        """Hear messages until cancelled; `beat` with every sign that the server gives."""
        self._beat = beat
        line = multiplexer(self._url)
        line.reconnected.add(self._stale.set)
        try:
            while True:
                await self._connected()
                await asyncio.sleep(_PAUSE_SECONDS)
        finally:
            line.reconnected.discard(self._stale.set)

    def _say(self, *words: bytes | str) -> None:
        # What cannot be said now is said with everything else when the connection stands again.
        if self._outbox is not None:
            self._outbox.put_nowait(words)

    async def _connected(self) -> None:
        self._stale.clear()
        connection: AbstractConnection = open_beside(connect_async(self._url).connection_pool, **OWN)
        try:
            await run_together(self._converse(connection), self._until_stale())
        except ResponseError as error:
            self._warnings.warn(f"cannot subscribe: {error}")
        except (RedisError, OSError):
            pass
        finally:
            self._outbox = None
            await connection.disconnect(nowait=True)

    async def _converse(self, connection: AbstractConnection) -> None:
        async with asyncio.timeout(CONNECT_SECONDS):
            await connection.connect()  # type: ignore[no-untyped-call]  # untyped in redis-py
        self._outbox = outbox = _Outbox()
        if self._channels:
            self._say("SUBSCRIBE", *self._channels)
        await run_together(
            _talk(connection, outbox),
            self._listen(connection),
            watch_for_silence(self._ask, lambda: self._heard),
        )

    def _ask(self) -> bool:
        self._say("PING")
        return True

    async def _until_stale(self) -> None:
        await self._stale.wait()
        raise redis.ConnectionError("The server may be another one now.")

    async def _listen(self, connection: AbstractConnection) -> None:
        while True:
            message: Any = await connection.read_response(disconnect_on_error=False, push_request=True)
            self._heard += 1
            self._beat()
            if isinstance(message, list) and len(message) == 3:
                self._hear(*cast("tuple[bytes, bytes, bytes]", message))


async def _talk(connection: AbstractConnection, outbox: _Outbox) -> None:
    while True:
        await connection.send_command(*await outbox.get())
