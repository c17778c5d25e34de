"""One look at the whole deployment: what Redis has counted, what is there now, and how Redis does."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from turnstile.turns.errors import MissingRight, QueueUnreachable
from turnstile.turns.model_names import shown_model
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.store.upkeep import Measured, ModelWait


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
    waits: Mapping[str, tuple[int, float]]
    """Turns that wait for a model, and for how long one has; models that the settings do not name are `other`."""

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
            measured = store.measure()
            return cls(measured, store.workers(), _memory(store), latency, _waits(measured.waits, store.settings))
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


def _waits(waits: Sequence[ModelWait], settings: Settings) -> Mapping[str, tuple[int, float]]:
    """Return the waits by model; a caller's words for a model become no label."""
    named = {shown_model(model) for model in (*settings.chain_models, *settings.budgets_by_model)}
    found: dict[str, tuple[int, float]] = {}
    for wait in waits:
        label = wait.model if wait.model in named else "other"
        turns, seconds = found.get(label, (0, 0.0))
        found[label] = (turns + wait.turns, max(seconds, wait.seconds))
    return found


def _memory(store: TurnStore) -> Mapping[str, str]:
    try:
        return store.memory()
    except MissingRight:
        return {}
