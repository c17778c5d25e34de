"""The record of submissions and acceptances: one append-only file for each producer, a line for each fact.

Times are seconds since the epoch. All processes of a run are on one machine, so their clock and Redis's are one; when they are
read, they are cut to whole milliseconds as Redis's are, or what is asked in the millisecond in which it ends another would come
after it.
"""

import json
import os
import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from turnstile.producers.gateway.edge.caller import RESPONSE, Caller

MODEL_FAULTS = {
    "model hangs": "hang times=1",
    "model fails": "fail=500 times=1",
    "model drops the connection": "drop times=1",
    "model stalls": "stall times=1",
    "model refuses": "refuse times=1",
    "model is away (503)": "fail=503 times=2",
    "model is over its limit (429)": "fail=429 retry-after=1 times=1",
}
_MODEL_FAULT_SHARE = 0.04
# It pauses the model for everybody.
_LIMITED_SHARE = 0.002
WEB = "web"
"""The prefix of names that are idempotency keys at the gateway."""
LATER, CRON = "later", "cron"
"""The prefixes of names of turns that are to be asked later, and of cron rules."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One turn as its producers saw it: when it was first sent, and when an acceptance came back (None: none did).

    `revoked`: somebody has called it off, so it may end as cancelled. `odd`: it came in a strange message, so it may end
    anyhow, or not be accepted at all. `misread`: what was wrong with it for a reader that followed it to its end. `declined`:
    its session was busy, or a quota of its tenant used up. `schedule`: the rule that was to ask it. `removed`: of a rule that
    somebody has removed, the tick that came next, in ms.
    """

    turn: str
    session: str
    sent: float
    accepted: float | None = None
    refusals: int = 0
    abandoned: bool = False
    name: str = ""
    revoked: bool = False
    odd: bool = False
    misread: str = ""
    declined: bool = False
    schedule: str = ""
    removed: int | None = None

    @property
    def is_rule(self) -> bool:
        """True for a cron rule, which is no turn."""
        return self.name.startswith(CRON) and not self.schedule

    @property
    def is_later(self) -> bool:
        """True for a turn that is to be asked later: called off before, it leaves nothing."""
        return self.name.startswith(LATER)

    @property
    def is_unknown(self) -> bool:
        """True while nobody knows whether the turn was accepted, and somebody is to find out."""
        return self.accepted is None and not self.abandoned and not self.declined


def stored_id(name: str) -> str:
    """Return the turn's id: its producer's name for it, but where the gateway makes an id of that name."""
    return RESPONSE + Caller().key("response", f"key\0{name}") if name.startswith(WEB) else name


def question(turn: str) -> str:
    """Return the turn's question: always the same for the same id. Some tell the model to misbehave."""
    latency, rate = _pace(turn)
    words = f"latency={latency:.2f} tokens-per-second={rate}"
    fault = model_fault(turn)
    extra = f" {MODEL_FAULTS[fault]} key={turn}" if fault else ""
    return f"{visible(turn)} [[{words}{extra}]]"


def model_seconds(turn: str, answer: str) -> float:
    """Return how long the model is told to take for this turn's answer, about."""
    latency, rate = _pace(turn)
    return latency + (len(answer.split()) / rate if rate else 0.0)


def _pace(turn: str) -> tuple[float, int]:
    chosen = random.Random(turn)
    return chosen.uniform(0.1, 1.2), chosen.choice((0, 40, 150))


def visible(turn: str) -> str:
    """Return the question without what it tells the model to do; the model's answer repeats it."""
    return f"What of {turn}?"


def model_fault(turn: str) -> str:
    """Return the fault requested of the model for this turn's first attempt, if any."""
    chosen = random.Random(f"{turn} fault")
    *others, limited = MODEL_FAULTS
    drawn = chosen.random()
    if drawn < _LIMITED_SHARE:
        return limited
    return chosen.choice(others) if drawn < _MODEL_FAULT_SHARE else ""


class Record:
    """One producer's file. A line is written in one call, so a kill leaves whole lines."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, fact: str, turn: str, session: str, at: float, more: str = "") -> None:
        """Write `sent`, `accepted`, `refused`, `declined`, `abandoned`, `revoked`, `removed`, `odd` or `misread`."""
        os.write(self._file, (json.dumps([fact, turn, session, at, more]) + "\n").encode())


def read(paths: Iterable[Path]) -> dict[str, Entry]:
    """Return all turns of all producers, by id. A file whose facts are of turns in others comes after those."""
    entries: dict[str, Entry] = {}
    for path in paths:
        for line in path.read_text().splitlines() if path.exists() else ():
            fact, name, session, at, more = json.loads(line)
            turn, at = stored_id(name), int(at * 1000) / 1000
            entries[turn] = _add(entries.get(turn) or Entry(turn, session, at, name=name), fact, at, more)
    return entries


def _add(entry: Entry, fact: str, at: float, more: str) -> Entry:
    if fact == "accepted":
        return replace(entry, accepted=at if entry.accepted is None else entry.accepted)
    if fact == "refused":
        return replace(entry, refusals=entry.refusals + 1)
    if fact == "misread":
        return replace(entry, misread=more)
    if fact == "removed":
        return replace(entry, removed=max(int(more), entry.removed or 0))
    return replace(
        entry,
        abandoned=entry.abandoned or fact == "abandoned",
        revoked=entry.revoked or fact == "revoked",
        odd=entry.odd or fact == "odd",
        declined=entry.declined or fact == "declined",
    )
