"""The leases of this process: renewed while their turns run; a turn that is taken away is dropped at once."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from turnstile.turns.redis.subscription import Subscription
from turnstile.turns.store.turns import AsyncTurnStore
from turnstile.turns.turn import Claim
from turnstile.workers.process.health import Beat


class Held(Protocol):
    """A turn at work."""

    claim: Claim

    def drop(self, why: str) -> None:
        """Stop working on it; `why` is `cancelled`, `lost` or `shutdown`."""


class LeaseKeeper:
    """A keeper of all leases of one process: it renews them in one call, and listens for orders to drop a turn."""

    def __init__(self, store: AsyncTurnStore, worker: str) -> None:
        self._store = store
        self.worker = worker
        self._held: dict[str, Held] = {}
        self.listening = asyncio.Event()

    def __len__(self) -> int:
        return len(self._held)

    def claims(self) -> list[Claim]:
        """Return what is held now; for any thread."""
        return [turn.claim for turn in list(self._held.values())]

    @contextmanager
    def hold(self, turn: Held) -> Iterator[None]:
        """Keep a turn's lease for the block. An earlier attempt at the same turn in this process has lost it."""
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

    async def renew(self) -> None:
        """Renew every lease once, and drop the turns that are no longer ours."""
        held = list(self._held.values())
        if not held:
            return
        words = await self._store.renew(self.worker, [turn.claim for turn in held])
        for turn, word in zip(held, words, strict=True):
            if word != "kept" and self._held.get(turn.claim.id) is turn:
                turn.drop(word)

    async def listen(self, beat: Beat) -> None:
        """Drop turns as soon as somebody cancels them. The next renewal finds what was missed while disconnected.

        Others see by this connection whether the process is alive: see `reap`.
        """
        orders = Subscription(self._store.url, self._hear)
        orders.add(self._store.keys.orders(self.worker))
        await orders.run(beat)

    def _hear(self, kind: bytes, _: bytes, data: bytes) -> None:
        if kind == b"subscribe":
            self.listening.set()
        elif kind == b"message" and (turn := self._held.get(data.decode())):
            turn.drop("cancelled")
