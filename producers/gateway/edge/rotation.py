"""The order in which requests go on: one of each API key for each pass of the event loop.

A loop serves whoever comes first. Thousands of requests of one key would all be served before the next one of another.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary


class Rotation:
    """The requests of one event loop that are to go on, by the id of their key.

    A pass lasts as long as everything that is ready takes, so a key that is alone goes on as fast as the loop can.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._served: set[str] = set()
        self._passing = False

    async def wait(self, key: str) -> None:
        """Return when a request of a key may go on: at once, unless others of the key wait, or one went in this pass."""
        loop = asyncio.get_running_loop()
        if key in self._served or key in self._waiting:
            waiter = loop.create_future()
            self._waiting.setdefault(key, deque()).append(waiter)
            await waiter
            return
        self._served.add(key)
        if not self._passing:
            self._passing = True
            loop.call_soon(self._pass, loop)

    def _pass(self, loop: asyncio.AbstractEventLoop) -> None:
        self._served = {key for key in list(self._waiting) if self._serve(key)}
        self._passing = bool(self._served)
        if self._passing:
            loop.call_soon(self._pass, loop)

    def _serve(self, key: str) -> bool:
        """Let the next request of a key go on; False if none waits any more."""
        waiting, served = self._waiting[key], False
        while waiting and not served:
            waiter = waiting.popleft()
            served = not waiter.done()
            if served:
                waiter.set_result(None)
        if not waiting:
            del self._waiting[key]
        return served


_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Rotation] = WeakKeyDictionary()


async def next_in_rotation(key: str) -> None:
    """Return when a request of a key may go on in the running loop."""
    await _by_loop.setdefault(asyncio.get_running_loop(), Rotation()).wait(key)


async def next_of_address(kind: str, scope: Mapping[str, Any]) -> None:
    """Return when a request without a key may go on: those of a kind from one address wait for each other alone."""
    address, _ = scope.get("client") or ("", 0)
    # No key has such an id.
    await next_in_rotation(f"{kind} from {address}")
