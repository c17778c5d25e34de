"""Which faults a run has, and when: drawn from its seed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """A class of faults. The model's own faults come with the questions: see `record.MODEL_FAULTS`."""

    KILL_WORKER = "worker killed (signal 9)"
    FREEZE_WORKER = "worker frozen past its lease, then awake again"
    KILL_SERVER = "Redis killed (signal 9) and restarted"
    KILL_ALL = "everything killed at once and restarted"
    CUT_WORKER = "a worker's connections cut"
    DEAFEN_WORKER = "a worker's requests done, replies dropped"
    SILENCE_WORKER = "a worker's connections half-open"
    SLOW_WORKER = "a worker's connections slow"
    CUT_PRODUCER = "a producer's connections cut"
    DEAFEN_PRODUCER = "a producer's requests done, replies dropped"
    SILENCE_PRODUCER = "a producer's connections half-open"
    KILL_PRODUCER = "producer killed (signal 9) around submit"
    LOSE_DISPATCH = "dispatch lost"
    DOUBLE_DISPATCH = "dispatch doubled"
    STALE_DISPATCH = "old dispatch sent again"
    FILL_MEMORY = "memory full (maxmemory)"


_WEIGHTS = {
    Kind.KILL_WORKER: 6,
    Kind.FREEZE_WORKER: 1,
    Kind.KILL_SERVER: 2.5,
    Kind.KILL_ALL: 0.3,
    Kind.CUT_WORKER: 14,
    Kind.DEAFEN_WORKER: 14,
    Kind.SILENCE_WORKER: 1,
    Kind.SLOW_WORKER: 2,
    Kind.CUT_PRODUCER: 8,
    Kind.DEAFEN_PRODUCER: 12,
    Kind.SILENCE_PRODUCER: 2,
    Kind.KILL_PRODUCER: 6,
    Kind.LOSE_DISPATCH: 14,
    Kind.DOUBLE_DISPATCH: 14,
    Kind.STALE_DISPATCH: 6,
    Kind.FILL_MEMORY: 2,
}
_SECONDS = {
    Kind.FREEZE_WORKER: (8.5, 11.0),
    Kind.KILL_SERVER: (0.0, 2.0),
    Kind.DEAFEN_WORKER: (0.05, 0.6),
    Kind.SILENCE_WORKER: (1.0, 10.0),
    Kind.SLOW_WORKER: (1.0, 5.0),
    Kind.DEAFEN_PRODUCER: (0.05, 0.6),
    Kind.SILENCE_PRODUCER: (0.5, 6.0),
    Kind.FILL_MEMORY: (0.5, 3.0),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: `at` seconds into the run, for `seconds`, at the `target`-th of what it hits (by its number, cyclic)."""

    at: float
    kind: Kind
    target: int
    seconds: float


def plan(seed: int, count: int, seconds: float, only: Sequence[Kind] = ()) -> list[Fault]:
    """The faults of a run, in time; with enough of them each class (each of `only`, if given) is among them."""
    chosen = random.Random(seed)
    weights = {kind: weight for kind, weight in _WEIGHTS.items() if kind in (only or Kind)}
    kinds = [*weights][:count]
    kinds += chosen.choices(list(weights), list(weights.values()), k=count - len(kinds))
    faults = [_draw(chosen, kind, chosen.uniform(0, seconds)) for kind in kinds]
    return sorted(faults, key=lambda fault: fault.at)


def _draw(chosen: random.Random, kind: Kind, at: float) -> Fault:
    return Fault(at, kind, chosen.randrange(1_000), chosen.uniform(*_SECONDS.get(kind, (0.0, 0.0))))
