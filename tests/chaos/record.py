"""What producers submitted and what was accepted: one append-only file for each producer, a line for each fact.

Times are seconds since the epoch. All processes of a run are on one machine, so their clock and Redis's are one.
"""

import json
import os
import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

MODEL_FAULTS = {
    "model hangs": "hang times=1",
    "model fails": "fail=500 times=1",
    "model drops the connection": "drop times=1",
    "model stalls": "stall times=1",
    "model refuses": "refuse times=1",
}
_MODEL_FAULT_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Entry:
    """One turn as its producers saw it: when it was first sent, and when an acceptance came back (None: none did)."""

    turn: str
    session: str
    sent: float
    accepted: float | None = None
    refusals: int = 0
    abandoned: bool = False


def question(turn: str) -> str:
    """The turn's question: always the same for the same id. Some tell the model to misbehave."""
    chosen = random.Random(turn)
    words = f"latency={chosen.uniform(0.1, 1.2):.2f} tokens-per-second={chosen.choice((0, 40, 150))}"
    fault = model_fault(turn)
    extra = f" {MODEL_FAULTS[fault]} key={turn}" if fault else ""
    return f"{visible(turn)} [[{words}{extra}]]"


def visible(turn: str) -> str:
    """The question without what it tells the model to do; the model's answer repeats it."""
    return f"What of {turn}?"


def model_fault(turn: str) -> str:
    """The fault that the model is told to have with this turn's first attempt, if any."""
    chosen = random.Random(f"{turn} fault")
    return chosen.choice(list(MODEL_FAULTS)) if chosen.random() < _MODEL_FAULT_SHARE else ""


class Record:
    """One producer's file. A line is written in one call, so a kill leaves whole lines."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, fact: str, turn: str, session: str, at: float) -> None:
        """Write `sent`, `accepted`, `refused` or `abandoned`."""
        os.write(self._file, (json.dumps([fact, turn, session, at]) + "\n").encode())


def read(paths: Iterable[Path]) -> dict[str, Entry]:
    """All turns of all producers, by id."""
    entries: dict[str, Entry] = {}
    for path in paths:
        for line in path.read_text().splitlines() if path.exists() else ():
            fact, turn, session, at = json.loads(line)
            entries[turn] = _add(entries.get(turn) or Entry(turn, session, at), fact, at)
    return entries


def _add(entry: Entry, fact: str, at: float) -> Entry:
    if fact == "accepted" and entry.accepted is None:
        return replace(entry, accepted=at)
    if fact == "refused":
        return replace(entry, refusals=entry.refusals + 1)
    return replace(entry, abandoned=True) if fact == "abandoned" else entry
