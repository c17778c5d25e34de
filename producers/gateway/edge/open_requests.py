"""The requests in progress of each API key: how many there may be, and their end with their key."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Set
from contextlib import contextmanager
from typing import Any

from turnstile.producers.gateway.edge.api_errors import ApiError
from turnstile.producers.gateway.edge.body import Message, Receive
from turnstile.turns.asyncio_tasks import end_all


class OpenRequests:
    """The requests in progress, by the id of their key.

    A key may have as many as are still free of `most` for all keys: alone it takes half of them, and another finds room.
    """

    def __init__(self, most: int) -> None:
        self._most, self._count = most, 0
        self._ends: defaultdict[str, set[asyncio.Future[None]]] = defaultdict(set)

    @contextmanager
    def of(self, key: str) -> Iterator["asyncio.Future[None]"]:
        """Note a request for as long as it is open, and give the future that is done when its key has been removed.

        Raises:
            ApiError: the key has too many (429).
        """
        if len(self._ends.get(key, ())) >= self._most - self._count:
            message = "This API key has too many requests open; wait for the end of some."
            raise ApiError(429, message, None, "too_many_open_requests", {"retry-after": "5", "connection": "close"})
        end = asyncio.get_running_loop().create_future()
        self._ends[key].add(end)
        self._count += 1
        try:
            yield end
        finally:
            self._count -= 1
            self._ends[key].discard(end)
            if not self._ends[key]:
                del self._ends[key]

    def end_others(self, keys: Set[str]) -> None:
        """End the requests of all keys but these."""
        for key in self._ends.keys() - keys:
            for end in self._ends[key]:
                if not end.done():
                    end.set_result(None)


async def receive_until(end: "asyncio.Future[None]", receive: Receive) -> Message:
    """Receive a request's next message; once `end` is done, that is its client's disconnection."""
    receiving = asyncio.ensure_future(receive())
    first: set[asyncio.Future[Any]] = {receiving, end}
    try:
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        return receiving.result() if receiving.done() else {"type": "http.disconnect"}
    finally:
        await end_all([receiving])
