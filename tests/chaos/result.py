"""What one run came to: the findings, and the figures behind the tables."""

import json
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos import journal, record
from tests.chaos.checker import Findings, burnt, check, collect
from tests.chaos.faults import ONE_CONNECTION, Kind
from tests.chaos.harness import Stage, faults_of
from tests.chaos.journal import Attempt, is_at
from tests.chaos.scene import LEASE_SECONDS, Size, Struck

_SERVER_WIDE = (Kind.KILL_SERVER, Kind.STOP_SERVER, Kind.KILL_ALL)
_TURN_WIDE = (Kind.LOSE_DISPATCH,)


@dataclass(slots=True)
class Result:
    """One run's outcome; times are seconds."""

    seed: int
    fsync: str
    turns: int
    attempts: int
    dispatches: int
    model_calls: int
    seconds: float
    faults: dict[str, int]
    findings: Findings
    recoveries: dict[str, list[float]] = field(default_factory=dict)
    """By class of fault: how long each turn that it stopped took to run again elsewhere."""


def run(seed: int, size: Size, folder: Path, model_url: str) -> Result:
    """One run, judged."""
    calls = _model_calls(model_url)
    with Stage(folder, model_url, seed, size) as stage:
        scene = stage.scene
        stage.run(faults_of(seed, size))
        entries = record.read(scene.records)
        remains = collect(scene.store, entries.values())
    log = journal.read(scene.server.folder, LEASE_SECONDS)
    model = Counter(record.model_fault(entry.turn) for entry in entries.values() if entry.turn in remains.records)
    model.pop("", None)
    return Result(
        seed=seed,
        fsync=size.fsync,
        turns=len(remains.records),
        attempts=len(log.attempts),
        dispatches=sum(found.dispatches for found in remains.records.values()),
        model_calls=_model_calls(model_url) - calls,
        seconds=size.seconds,
        faults=dict(Counter(struck.kind for struck in scene.struck) + model),
        findings=check(entries, remains, [*stage.wrong, *log.violations, *burnt(log.attempts)]),
        recoveries=recoveries(scene.struck, log.attempts),
    )


def _model_calls(model_url: str) -> int:
    with urllib.request.urlopen(model_url.removesuffix("/v1") + "/_stats") as reply:
        return int(json.load(reply)["requests"])


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
