"""Which faults a run has, and when: drawn from its seed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """A class of faults. The model's own faults come with the questions: see `record.MODEL_FAULTS`."""

    KILL_WORKER = "worker killed (signal 9)"
    FREEZE_WORKER = "worker frozen past its lease, then awake again"
    KILL_PRODUCER = "producer killed (signal 9) around submit"
    KILL_GATEWAY = "gateway killed (signal 9) and restarted"
    OTHER_SETTINGS = "a process with other settings joins for a while"
    KILL_SERVER = "Redis killed (signal 9) and restarted"
    STOP_SERVER = "Redis stopped (SIGSTOP) and continued"
    KILL_ALL = "everything killed at once and restarted"
    FILL_MEMORY = "memory full (maxmemory)"
    TAKE_RIGHT = "a right taken away and given back (ACL)"
    CUT_WORKER = "a worker's connections cut"
    DEAFEN_WORKER = "a worker's requests done, replies dropped"
    SILENCE_WORKER = "a worker's connections half-open"
    SLOW_WORKER = "a worker's connections slow"
    CUT_PRODUCER = "a producer's connections cut"
    DEAFEN_PRODUCER = "a producer's requests done, replies dropped"
    SILENCE_PRODUCER = "a producer's connections half-open"
    KILL_CONNECTION = "one connection killed by the server"
    CLOSE_AT_SERVER = "one connection closed at the server, open at the client"
    CLOSE_AT_CLIENT = "one connection closed at the client, open at the server"
    HOLD_CONNECTION = "one connection silent for a while, then carried on or reset"
    LOSE_DISPATCH = "dispatch lost"
    DOUBLE_DISPATCH = "dispatch doubled"
    STALE_DISPATCH = "old dispatch sent again"
    ODD_MESSAGE = "strange Celery message"
    REVOKE = "turn revoked (Celery, Flower)"
    REMOVE_SCHEDULE = "schedule removed"


ONE_CONNECTION = (Kind.KILL_CONNECTION, Kind.CLOSE_AT_SERVER, Kind.CLOSE_AT_CLIENT, Kind.HOLD_CONNECTION)

_WEIGHTS = {
    Kind.KILL_WORKER: 4,
    Kind.FREEZE_WORKER: 0.7,
    Kind.KILL_PRODUCER: 3,
    Kind.KILL_GATEWAY: 1.5,
    Kind.OTHER_SETTINGS: 1.5,
    Kind.KILL_SERVER: 1.5,
    Kind.STOP_SERVER: 2,
    Kind.KILL_ALL: 0.2,
    Kind.FILL_MEMORY: 1.5,
    Kind.TAKE_RIGHT: 9,
    Kind.CUT_WORKER: 4,
    Kind.DEAFEN_WORKER: 4,
    Kind.SILENCE_WORKER: 0.7,
    Kind.SLOW_WORKER: 1.5,
    Kind.CUT_PRODUCER: 3,
    Kind.DEAFEN_PRODUCER: 4,
    Kind.SILENCE_PRODUCER: 1.5,
    Kind.KILL_CONNECTION: 18,
    Kind.CLOSE_AT_SERVER: 12,
    Kind.CLOSE_AT_CLIENT: 12,
    Kind.HOLD_CONNECTION: 11,
    Kind.LOSE_DISPATCH: 4,
    Kind.DOUBLE_DISPATCH: 4,
    Kind.STALE_DISPATCH: 2,
    Kind.ODD_MESSAGE: 20,
    Kind.REVOKE: 16,
    Kind.REMOVE_SCHEDULE: 5,
}
_SECONDS = {
    Kind.FREEZE_WORKER: (8.5, 11.0),
    Kind.OTHER_SETTINGS: (4.0, 10.0),
    Kind.KILL_SERVER: (0.0, 2.0),
    Kind.STOP_SERVER: (0.5, 12.0),
    Kind.FILL_MEMORY: (0.5, 3.0),
    Kind.TAKE_RIGHT: (0.3, 3.0),
    Kind.DEAFEN_WORKER: (0.05, 0.6),
    Kind.SILENCE_WORKER: (1.0, 10.0),
    Kind.SLOW_WORKER: (1.0, 5.0),
    Kind.DEAFEN_PRODUCER: (0.05, 0.6),
    Kind.SILENCE_PRODUCER: (0.5, 6.0),
    Kind.HOLD_CONNECTION: (0.5, 15.0),
}
# Longer than a lease: one in six is as long as these.
_LONG_SECONDS = {Kind.TAKE_RIGHT: (10.0, 20.0)}
_ONE_IN = 6


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: `at` seconds into the run, for `seconds`, at the `target`-th of what it hits (by its number, cyclic)."""

    at: float
    kind: Kind
    target: int
    seconds: float

    @property
    def chosen(self) -> random.Random:
        """The random numbers for all else that the fault leaves open."""
        return random.Random(self.target)


def plan(seed: int, count: int, seconds: float, only: Sequence[Kind] = ()) -> list[Fault]:
    """Return the faults of a run, in time; with enough of them each class (each of `only`, if given) is among them."""
    chosen = random.Random(seed)
    weights = {kind: weight for kind, weight in _WEIGHTS.items() if kind in (only or Kind)}
    kinds = [*weights][:count]
    kinds += chosen.choices(list(weights), list(weights.values()), k=count - len(kinds))
    faults = [_draw(chosen, kind, chosen.uniform(0, seconds)) for kind in kinds]
    return sorted(faults, key=lambda fault: fault.at)


def _draw(chosen: random.Random, kind: Kind, at: float) -> Fault:
    target, seconds = chosen.randrange(1_000_000), _SECONDS.get(kind, (0.0, 0.0))
    if kind in _LONG_SECONDS and target % _ONE_IN == 0:
        seconds = _LONG_SECONDS[kind]
    return Fault(at, kind, target, chosen.uniform(*seconds))
