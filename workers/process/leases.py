"""The turns that this process holds: their leases are renewed, and a turn that is taken away is dropped at once."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from turnstile.turns.errors import QueueUnreachable
from turnstile.turns.redis.subscription import Subscription
from turnstile.turns.store.turns import AsyncTurnStore
from turnstile.turns.turn import Claim
from turnstile.workers.process.health import Beat

log = logging.getLogger(__name__)


class Held(Protocol):
    """A turn at work."""

    claim: Claim

    def drop(self, why: str) -> None:
        """Stop working on it; `why` is `cancelled`, `lost` or `shutdown`."""


class LeaseKeeper:
    """Renews all leases of one process in one call, four times within a lease, and listens for orders to drop a turn."""

    def __init__(self, store: AsyncTurnStore, worker: str) -> None:
        self._store = store
        self._worker = worker
        self._held: dict[str, Held] = {}
        self.listening = asyncio.Event()

    def __len__(self) -> int:
        return len(self._held)

    def claims(self) -> list[Claim]:
        """What is held now; for any thread."""
        return [turn.claim for turn in list(self._held.values())]

    @contextmanager
    def hold(self, turn: Held) -> Iterator[None]:
        """Keep a turn's lease for the block. An earlier attempt at the same turn that is still here has lost it."""
        id = turn.claim.id
        if earlier := self._held.get(id):
            earlier.drop("lost")
        self._held[id] = turn
        try:
            yield
        finally:
            if self._held.get(id) is turn:
                del self._held[id]

    def drop_all(self, why: str) -> None:
        """Drop every turn."""
        for turn in list(self._held.values()):
            turn.drop(why)

    async def keep(self, beat: Beat) -> None:
        """Renew for ever. An outage is ridden out: a turn may still be ours when Redis is back. `beat` after each renewal."""
        lease = self._store.settings.lease_seconds
        pause = lease / 4
        while True:
            await asyncio.sleep(pause)
            try:
                await self.renew()
                beat()
                pause = lease / 4
            except QueueUnreachable as error:
                log.warning("cannot renew leases: %s", error)
                pause = lease / 40

    async def renew(self) -> None:
        """Renew every lease once, and drop the turns that are no longer ours."""
        held = list(self._held.values())
        if not held:
            return
        words = await self._store.renew(self._worker, [turn.claim for turn in held])
        for turn, word in zip(held, words, strict=True):
            if word != "kept" and self._held.get(turn.claim.id) is turn:
                turn.drop(word)

    async def listen(self, beat: Beat) -> None:
        """Drop turns as soon as somebody cancels them. What is missed while disconnected, the next renewal finds.

        The connection is also how others see that this process has died: see `muster`.
        """
        orders = Subscription(self._store.url, self._hear)
        orders.add(self._store.keys.orders(self._worker))
        await orders.run(beat)

    def _hear(self, kind: bytes, _: bytes, data: bytes) -> None:
        if kind == b"subscribe":
            self.listening.set()
        elif kind == b"message" and (turn := self._held.get(data.decode())):
            turn.drop("cancelled")
