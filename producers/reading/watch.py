"""Wakes the waiting readers of one event loop, all of them over one pub/sub connection.

Every script that notes an event publishes its type on the turn's channel; a reader that hears its bell reads the events from
the stream, so a lost or doubled message costs nothing. A confirmed subscription rings too: after a reconnect all are read.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from weakref import WeakKeyDictionary

from turnstile.turns.asyncio_tasks import end_all
from turnstile.turns.redis.keys import Keys
from turnstile.turns.redis.subscription import Subscription

SAFETY_POLL_SECONDS = 15.0
_NEWS = frozenset({b"ended", b"erased"})


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
        self._keys = keys
        self._bells: dict[bytes, set[Bell]] = {}
        self._subscription = Subscription(url, self._hear)
        self._subscription.add(keys.wake())
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def bell(self, id: str, ending: bool = False) -> Iterator[Bell]:
        """A bell for one turn; it rings once by itself when the subscription stands."""
        bell, channel = Bell(ending), self._keys.wake(id)
        bells = self._bells.setdefault(channel.encode(), set())
        bells.add(bell)
        if len(bells) == 1:
            self._subscription.add(channel)
        else:
            bell.ring(b"")
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._subscription.run(), name="turnstile-watch")
        try:
            yield bell
        finally:
            bells.discard(bell)
            if not bells:
                del self._bells[channel.encode()]
                self._subscription.remove(channel)

    async def close(self) -> None:
        """End the connection. Readers that still wait fall back to their safety poll."""
        task, self._task = self._task, None
        if task is not None:
            await end_all([task])

    def _hear(self, kind: bytes, channel: bytes, data: bytes) -> None:
        for bell in self._bells.get(channel, ()):
            if kind == b"message":
                bell.ring(data)
            elif kind == b"subscribe":
                bell.ring(b"")


_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, Keys], Watch]] = WeakKeyDictionary()


def watch_at(url: str, keys: Keys) -> Watch:
    """The running loop's watch at this server."""
    watches = _watches.setdefault(asyncio.get_running_loop(), {})
    return watches.setdefault((url, keys), Watch(url, keys))
