"""The role of callers: they ask, look at turns, and cancel, retry or delete them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from turnstile.turns.errors import CallNotOpen, TooManyWaiting, TurnConflict, TurnNotEnded
from turnstile.turns.file_urls import check_urls
from turnstile.turns.ids import check_session, check_turn
from turnstile.turns.question import Options, Question, encode_question, fingerprint
from turnstile.turns.redis.connection import LONGEST_BLOCK_SECONDS
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.replies import OneOf, always, raising, unknown_turn
from turnstile.turns.store.runner import Call, Runner, operation, script_call
from turnstile.turns.text import as_text
from turnstile.turns.turn import Event, Record

_DEFAULTS = Options()


def _contents(messages: Iterable[Mapping[str, Any]]) -> list[object]:
    return [message["content"] for message in messages]


@dataclass(frozen=True, slots=True)
class Submitted:
    """A turn that was submitted; `fresh` is False when the same turn had been submitted before."""

    id: str
    state: State
    place: int
    fresh: bool
    session: str = field(default="", compare=False)


class Asking(Runner):
    """Operations on turns for those who ask."""

    @operation
    def submit(
        self, id: str, session: str, question: Question, options: Options = _DEFAULTS, *, reply: bool = False
    ) -> Call[Submitted]:
        """Accept a turn. `reply`: its end is also written where a plain Celery app waits for it.

        Raises:
            InvalidTurn, TooManyWaiting, QueueMemoryFull, TurnConflict: nothing was stored.
        """
        check_turn(id)
        check_session(session)
        asked = self._asked(session, question, options)
        read = partial(_SUBMITTED, self.settings, id, session)
        return script_call("submit", read, id=id, session=session, reply=_flag(reply), **asked)

    @operation
    def follow(self, id: str, previous: str, branch: str, question: Question, options: Options = _DEFAULTS) -> Call[Submitted]:
        """Accept a turn that follows turn `previous`: in its session, or, when it is not the last there, in a new session
        `branch` with the history up to it. The result tells the session.

        Raises:
            UnknownTurn: there is no `previous`.
            TurnNotEnded: it still runs, and is not the last of its session.
            InvalidTurn, TooManyWaiting, QueueMemoryFull, TurnConflict: as `submit`.
        """
        check_turn(id)
        check_session(branch)
        asked = self._asked(previous, question, options)
        read = partial(_FOLLOWED, self.settings, id, previous)
        return script_call("follow", read, id=id, previous=previous, branch=branch, reply="", **asked)

    def _asked(self, place: str, question: Question, options: Options) -> dict[str, str]:
        """Return the arguments that say what is asked, with a fingerprint of it and of the place where it is asked."""
        _check_answers(options)
        self._check_urls(question, options)
        most = self.settings.max_question_bytes
        body, extras = encode_question(question, most), options.encode(most)
        return {
            "queue": options.queue,
            "question": body,
            "options": extras,
            "stream": _flag(options.stream),
            "fingerprint": fingerprint(place, body, extras),
        }

    def _check_urls(self, question: Question, options: Options) -> None:
        contents: dict[str, list[object]] = {
            "question": [question],
            "before": _contents(options.before),
            "history": _contents(options.history or ()),
        }
        for param, said in contents.items():
            check_urls(said, self.settings.file_hosts, param)

    @operation
    def cancel(self, id: str, *, revoked: bool = False) -> Call[State]:
        """Cancel a turn, and return the state that stands: `cancelled`, or the end that came first. Raises UnknownTurn.

        `revoked`: a Celery caller that waits for it gets TaskRevokedError.
        """
        return script_call("cancel", partial(_CANCELLED, id), id=id, revoked=_flag(revoked))

    @operation
    def retry(self, id: str) -> Call[State]:
        """Queue a failed turn again, and return the state that stands: `queued`, or that of a turn that has not failed."""
        return script_call("retry", partial(_RETRIED, id), id=id)

    @operation
    def delete_turn(self, id: str) -> Call[bool]:
        """Forget one turn that has ended; False when there is none. What it added to the history stays, and its id is taken.

        Raises:
            TurnNotEnded: cancel it first.
        """
        return script_call("delete_turn", partial(_FORGOTTEN, id), id=id)

    @operation
    def status(self, id: str) -> Call[Record]:
        """Return a turn's record. Raises UnknownTurn."""

        def read(reply: list[Any]) -> Record:
            if not reply:
                raise unknown_turn(id)
            return Record.decode(id, reply)

        return script_call("status", read, id=id)

    @operation
    def failed(self, limit: int = 100) -> Call[list[str]]:
        """Return the ids of the turns that gave up, newest first."""
        args = (self.keys.failed, 0, limit - 1)
        return Call("ZREVRANGE", args, lambda reply: [as_text(id) for id in reply])

    @operation
    def events(self, id: str, after: int = 0, count: int = 1000) -> Call[list[Event]]:
        """Return the events after a sequence that are there now."""
        args = (self.keys.events(id), f"({after}-0", "+", "COUNT", count)
        return Call("XRANGE", args, lambda reply: [Event.decode(entry) for entry in _entries(reply)])

    @operation
    def wait_events(self, id: str, after: int = 0, seconds: float = LONGEST_BLOCK_SECONDS) -> Call[list[Event]]:
        """Return the events after a sequence; wait for the first one, `seconds` at most."""
        block = max(1, round(min(seconds, LONGEST_BLOCK_SECONDS) * 1000))
        args = ("COUNT", 1000, "BLOCK", block, "STREAMS", self.keys.events(id), f"{after}-0")
        return Call("XREAD", args, _read_stream, blocks=True)


def _check_answers(options: Options) -> None:
    for call in options.answers:
        raise CallNotOpen(f"Call {call} is not open: no turn of this session waits for its answer.")


def _flag(value: bool) -> str:
    return "1" if value else ""


def _state(_: str, state: bytes) -> State:
    return State(as_text(state))


def _accepted(_: Settings, id: str, session: str, place: int) -> Submitted:
    return Submitted(id, State.QUEUED, place, fresh=True, session=session)


def _again(_: Settings, id: str, session: str, state: bytes, place: int) -> Submitted:
    return Submitted(id, State(as_text(state)), place, fresh=False, session=session)


def _full_session(settings: Settings, *_: Any) -> TooManyWaiting:
    most = settings.max_waiting_per_session
    return TooManyWaiting(f"{most:,} turns wait in this session (TURNSTILE_MAX_WAITING_PER_SESSION); try later.")


def _full(settings: Settings, *_: Any) -> TooManyWaiting:
    return TooManyWaiting(f"{settings.max_waiting:,} turns are unfinished in all (TURNSTILE_MAX_WAITING); try later.")


def _unended(_: Settings, __: str, previous: str) -> TurnNotEnded:
    return TurnNotEnded(f"Turn {previous} has not ended, and others follow it: wait for its end.")


_REFUSED = {
    "conflict": raising(lambda *_: TurnConflict("This turn id is taken by another question; use a new one.")),
    "full_session": raising(_full_session),
    "full": raising(_full),
}
_SUBMITTED = OneOf("submit", accepted=_accepted, again=_again, **_REFUSED)
_FOLLOWED = OneOf(
    "follow",
    accepted=lambda settings, id, _, place, session: _accepted(settings, id, as_text(session), place),
    again=lambda settings, id, _, state, place, session: _again(settings, id, as_text(session), state, place),
    unknown=raising(lambda _, __, previous: unknown_turn(previous)),
    unended=raising(_unended),
    **_REFUSED,
)
_CANCELLED = OneOf("cancel", cancelled=always(State.CANCELLED), ended=_state, unknown=raising(unknown_turn))
_RETRIED = OneOf("retry", accepted=always(State.QUEUED), ended=_state, unknown=raising(unknown_turn))
_FORGOTTEN = OneOf(
    "delete_turn",
    forgotten=always(True),
    unended=raising(lambda id: TurnNotEnded(f"Turn {id} has not ended: cancel it first.")),
    unknown=always(False),
)


def _entries(reply: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    return [(e[0], e[1] if isinstance(e[1], dict) else dict(zip(e[1][::2], e[1][1::2], strict=True))) for e in reply or ()]


def _read_stream(reply: Any) -> list[Event]:
    if not reply:
        return []
    streams = reply.values() if isinstance(reply, dict) else [stream[1] for stream in reply]
    return [Event.decode(entry) for entries in streams for entry in _entries(entries)]
