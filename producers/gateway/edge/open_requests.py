"""The requests in progress of each API key, which end with their key."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Set
from contextlib import contextmanager
from typing import Any

from turnstile.producers.gateway.edge.body import Message, Receive
from turnstile.turns.asyncio_tasks import end_all


class OpenRequests:
    """The requests in progress, by the id of their key."""

    def __init__(self) -> None:
        self._ends: defaultdict[str, set[asyncio.Future[None]]] = defaultdict(set)

    @contextmanager
    def of(self, key: str) -> Iterator["asyncio.Future[None]"]:
        """Note a request for as long as it is open, and give the future that is done when its key has been removed."""
        end = asyncio.get_running_loop().create_future()
        self._ends[key].add(end)
        try:
            yield end
        finally:
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
