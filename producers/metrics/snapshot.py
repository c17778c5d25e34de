"""One look at the whole deployment: what Redis has counted, what is there now, and how Redis does."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from turnstile.turns.errors import MissingRight, QueueUnreachable
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.store.upkeep import Measured


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A look at a deployment."""

    measured: Measured
    workers: Mapping[str, Mapping[str, Any]]
    """Each worker at work, with what it says of itself."""
    memory: Mapping[str, str]
    """Facts of the server about its memory; empty without the right to ask."""
    latency: float
    """Seconds that Redis took to answer."""

    @classmethod
    def take(cls, store: TurnStore) -> "Snapshot | None":
        """Look once; None when Redis does not answer.

        Raises:
            MissingRight: our Redis user lacks an operator's right; the message names it.
        """
        try:
            began = time.perf_counter()
            store.ping()
            latency = time.perf_counter() - began
            return cls(store.measure(), store.workers(), _memory(store), latency)
        except MissingRight:
            raise
        except QueueUnreachable:
            return None

    @property
    def slots(self) -> int:
        """Turns that all workers together run at once."""
        return sum(int(facts.get("concurrency", 0)) for facts in self.workers.values())

    @property
    def busy(self) -> int:
        """Turns that the workers say they run."""
        return sum(int(facts.get("running", 0)) for facts in self.workers.values())

    @property
    def hung(self) -> list[str]:
        """Workers that say that a part of them makes no progress."""
        return [name for name, facts in self.workers.items() if facts.get("stale")]


def _memory(store: TurnStore) -> Mapping[str, str]:
    try:
        return store.memory()
    except MissingRight:
        return {}
