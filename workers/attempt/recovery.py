"""Ends of outages of models' servers: turns that wait for a server go when it answers, each kind once for an outage."""

import asyncio
from collections import OrderedDict, defaultdict
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from weakref import WeakValueDictionary

from turnstile.turns.errors import QueueUnreachable
from turnstile.turns.store.turns import AsyncTurnStore

_AT_ONCE = 100
_MOST_OF_A_TENANT = 1_000


@dataclass(slots=True, weakref_slot=True)
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
    who wait each time that it answers one. The latest kinds of each tenant are remembered, however many others ask for.
    """

    def __init__(self, store: AsyncTurnStore) -> None:
        self._store = store
        self._found: WeakValueDictionary[str, _Outage] = WeakValueDictionary()
        self._kept: defaultdict[str, OrderedDict[str, _Outage]] = defaultdict(OrderedDict)
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, kind: str, tenant: str) -> None:
        """Note that the server was away for a tenant's turn of a kind."""
        found, now = self._found.get(kind), monotonic()
        if found is None:
            self._found[kind] = found = _Outage(now)
        elif found.is_over:
            found.since, found.is_over = now, False
        self._keep(kind, tenant, found)

    def _keep(self, kind: str, tenant: str, outage: _Outage) -> None:
        # An outage lives as long as one of its tenants keeps it.
        kept = self._kept[tenant]
        kept[kind] = outage
        kept.move_to_end(kind)
        if len(kept) > _MOST_OF_A_TENANT:
            kept.popitem(last=False)

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
