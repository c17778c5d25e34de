"""The result of one run: the findings, and the figures behind the tables."""

import json
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos import crowds, journal, record, scheduled
from tests.chaos.checker import check, collect
from tests.chaos.findings import Findings
from tests.chaos.harness import Stage, faults_of
from tests.chaos.scene import LEASE_SECONDS, Size
from tests.chaos.timeline import burnt, recoveries, unexplained


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
    unexplained: int = 0
    """Attempts that were taken from a worker to which nothing had been done."""


def run(seed: int, size: Size, folder: Path, model_url: str) -> Result:
    """One run, judged."""
    calls = _model_calls(model_url)
    with Stage(folder, model_url, seed, size) as stage:
        scene = stage.scene
        with crowds.OpenCalls(model_url) as open_calls:
            stage.run(faults_of(seed, size))
        noted = record.read(scene.records)
        entries = scheduled.turns_of(noted)
        remains = collect(scene.store, entries.values())
    entries = scheduled.at_their_time(entries, remains.records)
    untimely = scheduled.faults(noted.values(), remains.records)
    log = journal.read(scene.server.folder, LEASE_SECONDS)
    too_many = crowds.faults(log.crowds, open_calls.seen, log.attempts)
    # All that a rule asks has one question.
    asked = {entry.schedule or entry.turn for entry in entries.values() if entry.turn in remains.records}
    model = Counter(record.model_fault(turn) for turn in asked)
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
        findings=check(
            entries, remains, [*stage.wrong, *untimely, *log.violations, *too_many, *burnt(scene.struck, log.attempts)]
        ),
        recoveries=recoveries(scene.struck, log.attempts),
        unexplained=len(unexplained(scene.struck, log.attempts, scene.pids)),
    )


def _model_calls(model_url: str) -> int:
    with urllib.request.urlopen(model_url.removesuffix("/v1") + "/_stats") as reply:
        return int(json.load(reply)["requests"])
