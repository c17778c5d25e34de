"""Faults beside attempts, in time: what each fault stopped, when that went on, and what no fault explains."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from tests.chaos.faults import ONE_CONNECTION, Kind
from tests.chaos.journal import Attempt, is_at
from tests.chaos.scene import Struck

_SERVER_WIDE = (Kind.KILL_SERVER, Kind.STOP_SERVER, Kind.KILL_ALL)
_TURN_WIDE = (Kind.LOSE_DISPATCH,)
_EVERYBODYS = (*_SERVER_WIDE, Kind.FILL_MEMORY, Kind.TAKE_RIGHT)
# A connection may be dead for so long before anybody needs it.
_AFTERMATH_MS = 60_000
_MOST_TAKEN = 3


def recoveries(struck: Iterable[Struck], attempts: Sequence[Attempt]) -> dict[str, list[float]]:
    """By class of fault: seconds from the fault to the next attempt of each turn that it stopped.

    A fault of the whole server counts from the moment when everything is up again, to the next claim of any turn. When
    another such fault came upon a recovery, or its dispatch was lost again, it is not counted. One connection of a worker
    counts to the worker's own next claim.
    """
    faults = list(struck)
    by_turn: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        by_turn.setdefault(attempt.turn, []).append(attempt)
    found: dict[str, list[float]] = {}
    for fault in faults:
        others = [other for other in faults if other is not fault]
        for turn, start, end in _spans(fault, attempts, by_turn):
            if not any(_came_between(other, turn, start, end) for other in others):
                found.setdefault(fault.kind, []).append((end - start) / 1000)
    return found


def _came_between(fault: Struck, turn: str, start: int, end: int) -> bool:
    if fault.kind in _SERVER_WIDE:
        return start <= fault.ended and fault.began <= end
    return fault.kind in _TURN_WIDE and fault.turn == turn and start <= fault.began <= end


def _spans(
    fault: Struck, attempts: Sequence[Attempt], by_turn: Mapping[str, Sequence[Attempt]]
) -> Iterator[tuple[str, int, int]]:
    """Turn, beginning and end of each recovery."""
    if fault.kind in _SERVER_WIDE:
        following = [attempt for attempt in attempts if attempt.claimed >= fault.ended]
        yield from ((first.turn, fault.ended, first.claimed) for first in sorted(following, key=lambda a: a.claimed)[:1])
    elif fault.kind in _TURN_WIDE:
        following = [attempt for attempt in by_turn.get(fault.turn, ()) if attempt.claimed >= fault.began]
        yield from ((first.turn, fault.began, first.claimed) for first in following[:1])
    elif fault.kind in ONE_CONNECTION:
        following = [attempt for attempt in attempts if attempt.claimed > fault.began and is_at(attempt, fault.pid)]
        yield from ((first.turn, fault.began, first.claimed) for first in sorted(following, key=lambda a: a.claimed)[:1])
    elif fault.pid:
        for stopped in _stopped(fault, attempts):
            following = [attempt for attempt in by_turn[stopped.turn] if attempt.claimed > stopped.claimed]
            yield from ((first.turn, fault.began, first.claimed) for first in following[:1])


def _stopped(fault: Struck, attempts: Iterable[Attempt]) -> Iterator[Attempt]:
    for attempt in attempts:
        if is_at(attempt, fault.pid) and attempt.how == "taken" and attempt.claimed <= fault.began < (attempt.ended or 0):
            yield attempt


def burnt(struck: Iterable[Struck], attempts: Iterable[Attempt]) -> list[str]:
    """Name the turns that were taken from the same worker several times while the server and all rights were there."""
    common = [fault for fault in struck if fault.kind in _EVERYBODYS]
    taken = [attempt for attempt in attempts if attempt.how == "taken" and not any(_overlap(f, attempt) for f in common)]
    counts = Counter((attempt.turn, attempt.worker) for attempt in taken)
    return [f"{turn} was taken from worker {worker} {n} times" for (turn, worker), n in counts.items() if n >= _MOST_TAKEN]


def unexplained(struck: Iterable[Struck], attempts: Iterable[Attempt], pids: Collection[int]) -> list[Attempt]:
    """Return the attempts that were taken from one of these processes although nothing had been done to it, or to all."""
    faults = list(struck)
    taken = [attempt for attempt in attempts if attempt.how == "taken" and any(is_at(attempt, pid) for pid in pids)]
    return [attempt for attempt in taken if not any(_explains(fault, attempt) for fault in faults)]


def _explains(fault: Struck, attempt: Attempt) -> bool:
    if fault.kind not in _EVERYBODYS and not is_at(attempt, fault.pid):
        return False
    return _overlap(fault, attempt, _AFTERMATH_MS)


def _overlap(fault: Struck, attempt: Attempt, after: int = 0) -> bool:
    return fault.ended + after >= attempt.claimed and (attempt.ended is None or fault.began <= attempt.ended)
