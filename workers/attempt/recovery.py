"""Ends of outages of models' servers: turns that wait for a server go when it answers, each kind once for an outage."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

from turnstile.turns.errors import QueueUnreachable
from turnstile.turns.store.turns import AsyncTurnStore

_AT_ONCE = 100
_MOST_KINDS = 1_000


@dataclass(slots=True)
class _Outage:
    since: float
    is_over: bool = False
    ended: float = 0.0
    rest: float = 0.0
    """Seconds after its end in which no other end counts."""


class Recoveries:
    """The outages that this process has met, by kind of turn (chain and model, as asked).

    Only whoever has found a server away can find it back, so a worker that is cut off from a server others reach sends nothing
    on its way. Ends in quick succession count less and less often: a server that fails every other request is not asked by all
    who wait each time that it answers one.
    """

    def __init__(self, store: AsyncTurnStore) -> None:
        self._store = store
        self._found: dict[str, _Outage] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, kind: str) -> None:
        """Note that the server was away for a turn of a kind."""
        found, now = self._found.get(kind), monotonic()
        if found is None:
            if len(self._found) >= _MOST_KINDS:
                self._found.clear()
            self._found[kind] = _Outage(now)
        elif found.is_over:
            found.since, found.is_over = now, False

    def end(self, kind: str, began: float) -> None:
        """Note that the server has answered a turn of a kind, in an attempt that `began` then, by the monotonic clock."""
        found, now = self._found.get(kind), monotonic()
        # A request that is older than the outage does not show that it is over.
        if found is None or found.is_over or began < found.since or now < found.ended + found.rest:
            return
        shortest, longest = self._store.settings.retry_base_seconds, self._store.settings.retry_max_seconds
        found.rest = min(2 * found.rest, longest) if now < found.ended + 2 * found.rest else shortest
        found.ended, found.is_over = now, True
        task = asyncio.create_task(self._send_on(kind, found))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_on(self, kind: str, outage: _Outage) -> None:
        # Without Redis each turn waits out its own pause.
        with suppress(QueueUnreachable):
            left = await self._store.end_outage(kind, _AT_ONCE)
            # Those that are put off once more are not sent on by the same end.
            for _ in range(0, left, _AT_ONCE):
                if outage.is_over:
                    await self._store.end_outage(kind, _AT_ONCE)
