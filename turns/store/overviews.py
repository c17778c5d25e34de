"""The role of those who look at the whole: the turns that matter now, the budgets of models, and the last hour by minutes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from turnstile.turns.model_names import model_of
from turnstile.turns.store.replies import OneOf, always
from turnstile.turns.store.runner import Call, Runner, operation, script_call
from turnstile.turns.store.upkeep import Measured
from turnstile.turns.text import as_text
from turnstile.turns.turn import Spent

_MINUTE = 60.0
_IN_MAILBOX = (b"blocked", b"held", b"closing")


@dataclass(frozen=True, slots=True)
class SeenTurn:
    """A turn as operators see it, without what was asked or answered."""

    turn: str
    session: str
    queue: str
    phase: str
    """`running`, `failed`, or why it waits: `ready`, `dispatched`, `delayed`, `held` (open calls of its session), `blocked`."""
    seconds: float
    """Since it first began, was accepted, or failed."""
    attempts: int
    uncounted_attempts: int
    """Those among them that do not count against `TURNSTILE_MAX_ATTEMPTS`."""
    steps: int
    """Of a graph, with its calls of models and their tokens; 0 for any other chain."""
    model_calls: int
    tokens: int
    behind: int
    """Turns that wait behind it in its session."""
    worker: str
    waits_for: str
    """The model in whose budget it waits for a place."""
    code: str

    @classmethod
    def decode(cls, now: int, row: Sequence[Any]) -> Self | None:
        """Read one row of the script's reply; None for a turn that is gone."""
        id, phase, worker, behind = row[:4]
        session, queue, created, started, finished, attempts, spent, model, code, forgiven = (
            as_text(f) if f else "" for f in row[4:]
        )
        if not session:
            return None
        since = {b"running": started, b"failed": finished}.get(phase, "") or created
        counts = Spent.decode(spent)
        return cls(
            turn=as_text(id),
            session=session,
            queue=queue,
            phase=as_text(phase),
            seconds=_seconds(now - int(since or now)),
            attempts=int(attempts or 0),
            uncounted_attempts=int(forgiven or 0),
            steps=counts.steps,
            model_calls=counts.model_calls,
            tokens=counts.tokens,
            behind=max(0, int(behind) - (phase in _IN_MAILBOX)),
            worker=as_text(worker),
            waits_for=model_of(model),
            code=code,
        )


@dataclass(frozen=True, slots=True)
class SeenSession:
    """A session that waits for answers to open calls."""

    session: str
    seconds: float


@dataclass(frozen=True, slots=True)
class SeenBudget:
    """A model's budget: its limits (0: none), what is spent of the last minute's worth, and what waits."""

    model: str
    requests: int
    requests_spent: int
    tokens: int
    tokens_spent: int
    concurrent: int
    calls: int
    """Calls under way."""
    waiting: int
    """Turns that wait for a place."""
    longest_wait: float
    """Seconds that one of them has waited."""
    paused: float
    """Seconds for which the model pauses, because its server asked for patience."""

    @classmethod
    def decode(cls, now: int, row: Sequence[Any]) -> Self:
        """Read one row of the script's reply."""
        model, requests, tokens, most, requests_until, tokens_until, paused_until, calls, waiting, longest = row
        return cls(
            model=model_of(as_text(model)),
            requests=requests,
            requests_spent=_spent(requests, int(requests_until) - now),
            tokens=tokens,
            tokens_spent=_spent(tokens, int(tokens_until) - now),
            concurrent=most,
            calls=calls,
            waiting=waiting,
            longest_wait=_seconds(longest),
            paused=_seconds(int(paused_until) - now),
        )


@dataclass(frozen=True, slots=True)
class Minute:
    """The counters at a moment of a minute, without labels, and what was there."""

    at: float
    measured: Measured

    @classmethod
    def decode(cls, note: bytes) -> Self:
        """Read one note."""
        found = json.loads(note.partition(b" ")[2])
        return cls(found["at"] / 1000, Measured.decode((found["counted"], found["there"])))


@dataclass(frozen=True, slots=True)
class Overview:
    """One look at all that operators want to see at once; `at` is in seconds since the epoch."""

    at: float
    running: list[SeenTurn]
    """The longest first, as those that wait; the last to fail first."""
    waiting: list[SeenTurn]
    failed: list[SeenTurn]
    held: list[SeenSession]
    budgets: list[SeenBudget]
    minutes: list[Minute]
    """Those of the last hour, oldest first."""

    @classmethod
    def decode(cls, reply: Sequence[Any]) -> Self:
        """Read `overview`'s reply."""
        now, running, waiting, failed, held, budgets, minutes = reply
        sessions = zip(held[::2], held[1::2], strict=True)
        return cls(
            at=now / 1000,
            running=_turns(now, running),
            waiting=_turns(now, waiting),
            failed=_turns(now, failed),
            held=[SeenSession(as_text(session), _seconds(now - float(since))) for session, since in sessions],
            budgets=[SeenBudget.decode(now, row) for row in budgets],
            minutes=sorted(map(Minute.decode, minutes), key=lambda minute: minute.at),
        )


class Overviews(Runner):
    """Operations on what is there as a whole."""

    @operation
    def overview(self, limit: int = 20) -> Call[Overview]:
        """Return what operators want to see at once, at most `limit` of each kind."""
        return script_call("overview", Overview.decode, limit=limit)

    @operation
    def note_minute(self) -> Call[bool]:
        """Note what is there in this minute; False when it is noted already."""
        return script_call("note_minute", _NOTED)


def _turns(now: int, rows: Sequence[Sequence[Any]]) -> list[SeenTurn]:
    return [turn for row in rows if (turn := SeenTurn.decode(now, row))]


def _seconds(ms: float) -> float:
    return round(max(0.0, ms / 1000), 1)


def _spent(limit: int, ms_ahead: int) -> int:
    return round(limit * min(1.0, max(0.0, ms_ahead / 1000 / _MINUTE)))


_NOTED = OneOf("note_minute", noted=always(True), known=always(False))
