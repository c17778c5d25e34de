"""Replies of the scripts that accept a turn. Each reader gets the settings, the turn's id, and where it was asked for."""

from dataclasses import dataclass, field
from typing import Any

from turnstile.turns.errors import (
    CallNotAnswered,
    CallNotOpen,
    HistoryFull,
    InvalidTurn,
    QuotaExceeded,
    SessionBusy,
    SessionHeld,
    SessionSpent,
    TooManyWaiting,
    TurnConflict,
    TurnNotEnded,
    TurnRefused,
)
from turnstile.turns.prices import MILLION
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.replies import OneOf, raising, unknown_turn
from turnstile.turns.text import as_text


@dataclass(frozen=True, slots=True)
class Submitted:
    """A turn that was submitted; `fresh` is False when the same turn had been submitted before."""

    id: str
    state: State
    place: int
    fresh: bool
    session: str = field(default="", compare=False)


def _accepted(_: Settings, id: str, session: str, place: int) -> Submitted:
    return Submitted(id, State.QUEUED, place, fresh=True, session=session)


def _again(_: Settings, id: str, session: str, state: bytes, place: int) -> Submitted:
    return Submitted(id, State(as_text(state)), place, fresh=False, session=session)


def _same(_: Settings, __: str, session: str, id: bytes, state: bytes) -> Submitted:
    return Submitted(as_text(id), State(as_text(state)), 0, fresh=False, session=session)


def _unfit(_: Settings, __: str, ___: str, reason: bytes, call: bytes) -> TurnRefused:
    kind, message = _UNFIT[as_text(reason)]
    return kind(message.format(call=as_text(call)), "" if reason == b"undecided" else as_text(call))


_UNFIT: dict[str, tuple[type[CallNotOpen | CallNotAnswered], str]] = {
    "not_open": (
        CallNotOpen,
        "Call {call} is not open: it never was, was answered or closed, or its time is over.",
    ),
    "missing": (CallNotAnswered, "Call {call} is open as well: answer all open calls at once."),
    "undecided": (CallNotAnswered, "Call {call} needs a decision: approve, reject, or JSON as LangChain's decisions have it."),
}


def _held(*_: Any) -> SessionHeld:
    return SessionHeld("The session waits for answers to its open calls: answer or release them first.")


def _busy(*_: Any) -> SessionBusy:
    return SessionBusy("The session is busy with another turn: ask when that has ended, or with another `when_busy`.")


def full_session(settings: Settings, *_: Any) -> TooManyWaiting:
    """Return the error for a session in which too many turns wait."""
    most = settings.max_waiting_per_session
    return TooManyWaiting(f"{most:,} turns wait in this session (TURNSTILE_MAX_WAITING_PER_SESSION); try later.")


def full_history(settings: Settings, *_: Any) -> HistoryFull:
    """Return the error for a session whose history has no room."""
    most = settings.max_history_messages
    return HistoryFull(
        f"A session's history has at most {most:,} messages (TURNSTILE_MAX_HISTORY_MESSAGES): go on in a new session."
    )


def _full(settings: Settings, *_: Any) -> TooManyWaiting:
    return TooManyWaiting(f"{settings.max_waiting:,} turns are unfinished in all (TURNSTILE_MAX_WAITING); try later.")


def full_of_conversations() -> QuotaExceeded:
    """Return the error for a tenant that keeps as many conversations as it may."""
    return QuotaExceeded("The tenant's quota of conversations is used up: delete some.", "conversations", wait=86_400)


def over_quota(name: bytes, limit: bytes, wait: int) -> TurnRefused:
    """Return the error for a quota that is used up; `wait` in ms, 0: for ever in this session."""
    quota, seconds = as_text(name), int(wait) / 1000
    most = int(limit) / MILLION if quota.startswith("spend") else int(limit)
    said = f"The tenant's quota of {quota.replace('_', ' ')} ({most:,}) is used up"
    if quota == "conversations":
        return full_of_conversations()
    if not wait:
        return SessionSpent(f"{said}: go on in a new session.")
    return QuotaExceeded(f"{said}; try again in {seconds:,.1f} s.", quota, most, seconds)


def _unended(_: Settings, __: str, previous: str) -> TurnNotEnded:
    return TurnNotEnded(f"Turn {previous} has not ended, and others follow it: wait for its end.")


def _unplaced(_: Settings, __: str, previous: str) -> InvalidTurn:
    message = "messages were removed since, and those beside it are too large to look through: go on at the end of its session."
    return InvalidTurn(f"The place of turn {previous} in its history cannot be found: {message}", "previous_response_id")


_REFUSED = {
    "conflict": raising(lambda *_: TurnConflict("This turn id is taken by another question; use a new one.")),
    "full_session": raising(full_session),
    "full_history": raising(full_history),
    "full": raising(_full),
    "over_quota": raising(lambda _, __, ___, *quota: over_quota(*quota)),
}
_UNMET = {"held": raising(_held), "busy": raising(_busy), "unfit": raising(_unfit)}
SUBMITTED = OneOf("submit", accepted=_accepted, again=_again, **_REFUSED)
SUBMITTED_HELD = OneOf("submit_held", accepted=_accepted, again=_again, same=_same, **_REFUSED, **_UNMET)
FOLLOWED = OneOf(
    "follow",
    accepted=lambda settings, id, _, place, session: _accepted(settings, id, as_text(session), place),
    again=lambda settings, id, _, state, place, session: _again(settings, id, as_text(session), state, place),
    same=lambda settings, id, _, turn, state, session: _same(settings, id, as_text(session), turn, state),
    unknown=raising(lambda _, __, previous: unknown_turn(previous)),
    unended=raising(_unended),
    unplaced=raising(_unplaced),
    **_REFUSED,
    **_UNMET,
)
