"""Wake-ups for readers: any number of turns over one pub/sub connection.

Every script that writes an event publishes its type on the turn's channel; a reader that is woken reads the events from the
stream, so losing or duplicating a message is harmless. A confirmed subscription wakes too: after a reconnect all are read.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from weakref import WeakKeyDictionary

from turnstile.turns.asyncio_tasks import end_all
from turnstile.turns.redis.keys import Keys
from turnstile.turns.redis.subscription import Subscription

_ENDS = frozenset({b"ended", b"erased"})


class Wakeup:
    """A signal that something happened to one turn. With `ending` only its end counts."""

    def __init__(self, ending: bool) -> None:
        self._ending = ending
        self._set = asyncio.Event()

    def notify(self, kind: bytes) -> None:
        """Wake the reader for an event's type, `erased`, or empty if the type is unknown."""
        if not (kind and self._ending) or kind in _ENDS:
            self._set.set()

    async def wait(self, seconds: float) -> bool:
        """Wait for the next event, `seconds` at most; False when none came."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._set.wait()
        came = self._set.is_set()
        self._set.clear()
        return came


class Wakeups:
    """The subscriptions of one event loop at one server."""

    def __init__(self, url: str, keys: Keys) -> None:
        self._keys = keys
        self._readers: dict[bytes, set[Wakeup]] = {}
        self._subscription = Subscription(url, self._receive)
        self._subscription.add(keys.wake())
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def subscribe(self, id: str, ending: bool = False) -> Iterator[Wakeup]:
        """Return the wake-up of one turn, which is set once by itself when the subscription stands."""
        wakeup, channel = Wakeup(ending), self._keys.wake(id)
        readers = self._readers.setdefault(channel.encode(), set())
        readers.add(wakeup)
        if len(readers) == 1:
            self._subscription.add(channel)
        else:
            wakeup.notify(b"")
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._subscription.run(), name="turnstile-wakeups")
        try:
            yield wakeup
        finally:
            readers.discard(wakeup)
            if not readers:
                del self._readers[channel.encode()]
                self._subscription.remove(channel)

    async def close(self) -> None:
        """Close the connection. Readers that still wait fall back to their safety poll."""
        task, self._task = self._task, None
        if task is not None:
            await end_all([task])

    def _receive(self, kind: bytes, channel: bytes, data: bytes) -> None:
        for wakeup in self._readers.get(channel, ()):
            if kind == b"message":
                wakeup.notify(data)
            elif kind == b"subscribe":
                wakeup.notify(b"")


_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, Keys], Wakeups]] = WeakKeyDictionary()


def wakeups_at(url: str, keys: Keys) -> Wakeups:
    """Return the running loop's wake-ups at this server."""
    by_server = _by_loop.setdefault(asyncio.get_running_loop(), {})
    return by_server.setdefault((url, keys), Wakeups(url, keys))
