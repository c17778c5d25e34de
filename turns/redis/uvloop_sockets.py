"""redis-py's connections, mended for uvloop and for failovers, each with a fence."""

from functools import cache
from typing import Any

import redis

from turnstile.turns.redis.fence import AsyncFenced, Fenced


class _Mended:
    _writer: Any

    async def disconnect(self, nowait: bool = False, *args: Any, **kwargs: Any) -> None:
        if nowait and self._writer is not None:
            # A TLS connection would first wait for the server's goodbye, and might outlive its event loop.
            self._writer.transport.abort()
        await super().disconnect(nowait, *args, **kwargs)  # type: ignore[misc]  # the connection class beside it has it

    async def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
        try:
            await super().send_packed_command(*args, **kwargs)  # type: ignore[misc]  # the connection class beside it has it
        except RuntimeError as error:
            # So uvloop speaks of a transport that the server has closed; redis-py knows OSError only, and would not retry.
            raise redis.ConnectionError("The connection is closed.") from error


class _Following:
    """Asks the sentinels when a call is tried again: redis-py's own goes back to the server that has just failed."""

    is_connected: Any
    connect_to: Any
    connection_pool: Any

    def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
        if not self.is_connected:
            self.connect_to(self.connection_pool.get_master_address())
        super().send_packed_command(*args, **kwargs)  # type: ignore[misc]  # the connection class beside it has it


class _AsyncFollowing:
    """As above."""

    is_connected: Any
    connect_to: Any
    connection_pool: Any

    async def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
        if not self.is_connected:
            await self.connect_to(await self.connection_pool.get_master_address())
        await super().send_packed_command(*args, **kwargs)  # type: ignore[misc]  # the connection class beside it has it


@cache
def mended(kind: type) -> type:
    """Return an asyncio connection class with a fence, whose closed connections raise redis.ConnectionError under every loop.

    One that sentinels lead follows them each time it connects.
    """
    bases = (_Mended, _AsyncFollowing, AsyncFenced, kind) if hasattr(kind, "connect_to") else (_Mended, AsyncFenced, kind)
    return type(kind.__name__, bases, {})


@cache
def following(kind: type) -> type:
    """Return a connection class with a fence, which follows the sentinels each time it connects, where they lead it."""
    bases = (_Following, Fenced, kind) if hasattr(kind, "connect_to") else (Fenced, kind)
    return type(kind.__name__, bases, {})
