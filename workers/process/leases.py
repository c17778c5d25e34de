"""The leases that this process holds (`renewal` renews them); a turn that is taken away is dropped at once."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from turnstile.turns.redis.subscription import Subscription
from turnstile.turns.store.turns import AsyncTurnStore
from turnstile.turns.turn import Claim
from turnstile.workers.process.health import Beat

_DROPS = {"interrupt": "interrupted", "steer": "steered"}
"""Orders beside a turn's id → why the turn is dropped; without one it is cancelled."""


class Held(Protocol):
    """A turn at work."""

    claim: Claim

    def drop(self, why: str) -> None:
        """Stop working on it; `why` is `cancelled`, `interrupted`, `steered`, `lost` or `shutdown`."""

    def drain(self) -> None:
        """Stop between two steps of a graph, and return the turn."""


class LeaseKeeper:
    """A keeper of the turns that one process holds: it listens for orders to drop one. For the loop, but for `held`."""

    def __init__(self, store: AsyncTurnStore, worker: str) -> None:
        self._store = store
        self.worker = worker
        self._held: dict[str, Held] = {}
        self.listening = asyncio.Event()

    def __len__(self) -> int:
        return len(self._held)

    def held(self) -> list[Held]:
        """Return what is held now; for any thread."""
        return list(self._held.values())

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

    def heed(self, turn: Held, word: str) -> None:
        """Drop a turn whose lease was not kept, unless it is over by now."""
        if self._held.get(turn.claim.id) is turn:
            turn.drop(word)

    def drop_all(self, why: str) -> None:
        """Drop every turn."""
        for turn in self.held():
            turn.drop(why)

    async def listen(self, beat: Beat) -> None:
        """Drop turns as soon as somebody cancels or interrupts them. The next renewal finds what was missed while disconnected.

        Others see by this connection whether the process is alive: see `reap`.
        """
        orders = Subscription(self._store.url, self._hear)
        orders.add(self._store.keys.orders(self.worker))
        await orders.run(beat)

    def _hear(self, kind: bytes, _: bytes, data: bytes) -> None:
        if kind == b"subscribe":
            self.listening.set()
        elif kind == b"message":
            *order, id = data.decode().split(" ")
            if turn := self._held.get(id):
                turn.drop(_DROPS.get("".join(order), "cancelled"))
