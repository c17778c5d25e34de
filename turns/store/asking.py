"""The role of callers: they ask, look at turns, and cancel, retry or delete them."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from turnstile.turns.answers import encode_answered
from turnstile.turns.api_keys import MOST_WEIGHT
from turnstile.turns.bounds import MOST_CONTENT_BYTES
from turnstile.turns.errors import CallNotOpen, InvalidTurn, TurnNotEnded
from turnstile.turns.file_urls import check_urls
from turnstile.turns.ids import check_session, check_turn
from turnstile.turns.policies import WHEN_BUSY, WHEN_HELD, held_then
from turnstile.turns.question import Options, Question, encode_question, fingerprint
from turnstile.turns.redis.connection import LONGEST_BLOCK_SECONDS
from turnstile.turns.settings import MOST_WAITING
from turnstile.turns.states import State
from turnstile.turns.store.acceptance import FOLLOWED, SUBMITTED, SUBMITTED_HELD, Submitted, full_session
from turnstile.turns.store.replies import OneOf, always, raising, unknown_turn
from turnstile.turns.store.runner import Call, Runner, operation, script_call
from turnstile.turns.text import as_text
from turnstile.turns.tracing.context import join, of_turn
from turnstile.turns.turn import Event, Outline, Record, RecordForm, TurnResult

_DEFAULTS = Options()
_OPEN = tuple(state.encode() for state in State if not state.ended)
_QUEUED = {"answered": "", "when_held": "queue", "when_busy": "queue"}


def _contents(messages: Iterable[Mapping[str, Any]]) -> list[object]:
    return [message["content"] for message in messages]


class Asking(Runner):
    """Operations on turns for those who ask."""

    @operation
    def submit(
        self,
        id: str,
        session: str,
        question: Question,
        options: Options = _DEFAULTS,
        *,
        reply: bool = False,
        when_held: str | None = None,
        when_busy: str | None = None,
        weight: int = 1,
        quotas: str = "",
    ) -> Call[Submitted]:
        """Accept a turn. `reply`: its end is also written where a plain Celery app waits for it.

        While tenants wait for slots, `weight` of this one's turns go for each of a tenant with 1. `quotas`: those of the
        caller's API key, as `Limits.quotas` gives them.

        With `options.answers` it answers the open calls of its session, and goes before all that wait there. The same answers
        under another id are the same turn, which the result tells. `when_held` (`queue`, `reject`, `close`) and `when_busy`
        (one of WHEN_BUSY) are for a turn without answers, in place of TURNSTILE_WHEN_HELD and TURNSTILE_WHEN_BUSY.

        Raises:
            InvalidTurn, TooManyWaiting, HistoryFull, QueueMemoryFull, TurnConflict: nothing was stored.
            QuotaExceeded: a quota of the session's tenant is used up.
            CallNotOpen, CallNotAnswered: the answers are not those to the open calls; the message names one.
            SessionHeld: its calls are open, and `when_held` is `reject`.
            SessionBusy: another turn is under way there, and `when_busy` is `reject`.
        """
        check_turn(id)
        check_session(session)
        turn = {"id": id, "session": session, "reply": _flag(reply), "weight": weighed(weight), "quotas": quotas}
        turn |= self._asked(id, session, question, options)
        met = self._met(options, when_held, when_busy)
        if met == _QUEUED:
            return script_call("submit", partial(SUBMITTED, self.settings, id, session), **turn)
        return script_call("submit_held", partial(SUBMITTED_HELD, self.settings, id, session), **turn, **met)

    @operation
    def follow(
        self,
        id: str,
        previous: str,
        branch: str,
        question: Question,
        options: Options = _DEFAULTS,
        *,
        when_held: str | None = None,
        when_busy: str | None = None,
        weight: int = 1,
        quotas: str = "",
    ) -> Call[Submitted]:
        """Accept a turn that follows turn `previous`: in its session, or, when it is not the last there, in a new session
        `branch` with the history up to it. The result tells the session.

        Answers are to the open calls of `previous`. When its session does not wait for them any more, they are given in
        `branch`, except those that a person decides.

        Raises:
            UnknownTurn: there is no `previous`.
            TurnNotEnded: it still runs, and is not the last of its session.
            InvalidTurn, TooManyWaiting, HistoryFull, QueueMemoryFull, TurnConflict: as `submit`.
            CallNotOpen, CallNotAnswered, SessionHeld, SessionBusy: as `submit`.
        """
        check_turn(id)
        check_session(branch)
        turn = {"id": id, "previous": previous, "branch": branch, "reply": "", "weight": weighed(weight), "quotas": quotas}
        turn |= self._asked(id, previous, question, options)
        read = partial(FOLLOWED, self.settings, id, previous)
        return script_call("follow", read, **turn, **self._met(options, when_held, when_busy))

    def _asked(self, id: str, place: str, question: Question, options: Options, *, traced: bool = True) -> dict[str, str]:
        """Return the arguments that say what is asked, with a fingerprint of it and of the place where it is asked.

        Unless `traced`, the turn belongs to no trace of its caller.
        """
        self._check_urls(question, options)
        # A history keeps nothing of a turn that brings one and is not stored.
        is_kept = options.store or options.history is None
        most = self.settings.max_question_bytes if is_kept else MOST_CONTENT_BYTES
        body, extras = encode_question(question, most, optional=options.goes_on), options.encode(most)
        trace = (options.trace or of_turn(id, options.queue)) if traced else None
        return {
            "queue": options.queue,
            "question": body,
            "options": join(extras, trace),
            "outline": options.outline(extras),
            "stream": _flag(options.stream),
            "fingerprint": fingerprint(place, body, extras),
        }

    def _check_urls(self, question: Question, options: Options) -> None:
        contents: list[tuple[str, list[object]]] = [
            ("question", [question]),
            ("before", _contents(options.before)),
            ("history", _contents(options.history or ())),
        ]
        contents += [(name, [{name: value}]) for name, value in options.parameters.items()]
        for param, said in contents:
            check_urls(said, self.settings.file_hosts, param)

    def _met(self, options: Options, when_held: str | None, when_busy: str | None) -> dict[str, str]:
        """Return the arguments for a session that may be held, or busy: what the turn answers there, or else does."""
        answers = options.answers
        busy = _one_of(WHEN_BUSY, when_busy or self._default(options), "when_busy")
        held = _one_of(WHEN_HELD, when_held or held_then(busy, self.settings.when_held), "when_held")
        answered = encode_answered(answers, self.settings.max_question_bytes) if answers else ""
        return {"answered": answered, "when_held": held, "when_busy": _told(busy, options)}

    def _default(self, options: Options) -> str:
        """Return what a turn that says nothing does in a busy session; nobody waits for one of a batch, so that waits."""
        return self.settings.when_busy if options.queue == "chat" else "queue"

    @operation
    def cancel(self, id: str, *, revoked: bool = False, keep: bool = False) -> Call[State]:
        """Cancel a turn, and return the state that stands: `cancelled`, or the end that came first. Raises UnknownTurn.

        `revoked`: a Celery caller that waits for it gets TaskRevokedError. `keep`: a turn that has been at work ends later,
        as `incomplete`, with what it has said; until then its state is `running` or `queued`.
        """
        return script_call("cancel", partial(_CANCELLED, id), id=id, revoked=_flag(revoked), keep=_flag(keep))

    @operation
    def unfinished(self, session: str, limit: int = 100) -> Call[list[str]]:
        """Return the ids of a session's turns that have not ended, in the order in which they run, at most `limit`."""
        within = max(1, min(limit, MOST_WAITING + 1))
        return script_call("unfinished", _ids, session=check_session(session), limit=within)

    @operation
    def retry(self, id: str) -> Call[State]:
        """Queue a failed turn again, and return the state that stands: `queued`, or that of a turn that has not failed.

        Raises:
            UnknownTurn: there is no such turn.
            CallNotOpen: it answers calls that are not open any more.
            TooManyWaiting: its session has no room for it.
        """
        return script_call("retry", partial(_RETRIED, self.settings, id), id=id)

    @operation
    def delete_turn(self, id: str, only: State | None = None) -> Call[bool]:
        """Forget one turn that has ended; False when there is none. What it added to the history stays, and its id is taken.

        `only`: a turn that ended in another state stays, and the result is False.

        Raises:
            TurnNotEnded: cancel it first.
        """
        return script_call("delete_turn", partial(_FORGOTTEN, id), id=id, only=only or "")

    @operation
    def status(self, id: str) -> Call[Record]:
        """Return a turn's whole record. Raises UnknownTurn."""
        return _read_turn(Record, "all", id)

    @operation
    def result(self, id: str) -> Call[TurnResult]:
        """Return a turn's record without what was asked. Raises UnknownTurn."""
        return _read_turn(TurnResult, "answer", id)

    @operation
    def outline(self, id: str) -> Call[Outline]:
        """Return a turn's record without its content. Raises UnknownTurn."""
        return _read_turn(Outline, "none", id)

    @operation
    def is_under_way(self, id: str) -> Call[bool]:
        """Return True for a turn that has not ended and was not merged with another; its content is not read."""
        args = (self.keys.turn(id), "state", "merged")
        return Call("HMGET", args, lambda reply: reply[1] is None and reply[0] in _OPEN)

    @operation
    def failed(self, limit: int = 100, start: int = 0, *, oldest_first: bool = False) -> Call[list[str]]:
        """Return the ids of `limit` turns that gave up, after the first `start`, newest first unless `oldest_first`."""
        args = (self.keys.failed, start, start + limit - 1)
        return Call("ZRANGE" if oldest_first else "ZREVRANGE", args, _ids)

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


def _read_turn(form: type[RecordForm], content: str, id: str) -> Call[RecordForm]:
    def read(reply: list[Any]) -> RecordForm:
        if not reply:
            raise unknown_turn(id)
        return form.decode(id, reply)

    return script_call("status", read, id=id, content=content)


def _flag(value: bool) -> str:
    return "1" if value else ""


def _told(when_busy: str, options: Options) -> str:
    """Return a policy as scripts have it: answers to open calls have none, and questions that are merged are of one kind."""
    if options.answers:
        return "queue"
    return f"merge {options.kind}" if when_busy == "merge" else when_busy


def _one_of(words: tuple[str, ...], word: str, param: str) -> str:
    if word not in words:
        raise InvalidTurn(f"`{param}` must be one of {', '.join(words)}.", param=param)
    return word


def weighed(weight: int) -> str:
    """Return the weight of a turn as scripts have it; most have the least, and none is stored."""
    if not 1 <= weight <= MOST_WEIGHT:
        raise InvalidTurn(f"`weight` must be between 1 and {MOST_WEIGHT}.", param="weight")
    return "" if weight == 1 else str(weight)


def _ids(reply: Iterable[bytes]) -> list[str]:
    return [as_text(id) for id in reply]


def _state(_: str, state: bytes) -> State:
    return State(as_text(state))


def _closed(id: str) -> CallNotOpen:
    return CallNotOpen(f"Turn {id} answers calls that are not open any more: ask anew.")


_CANCELLED = OneOf("cancel", cancelled=always(State.CANCELLED), ending=_state, ended=_state, unknown=raising(unknown_turn))
_RETRIED = OneOf(
    "retry",
    accepted=always(State.QUEUED),
    ended=lambda _, id, state: _state(id, state),
    full_session=raising(full_session),
    closed=raising(lambda _, id: _closed(id)),
    unknown=raising(lambda _, id: unknown_turn(id)),
)
_FORGOTTEN = OneOf(
    "delete_turn",
    forgotten=always(True),
    ended=always(False),
    unended=raising(lambda id: TurnNotEnded(f"Turn {id} has not ended: cancel it first.")),
    held=raising(lambda id: TurnNotEnded(f"Turn {id} waits for answers to its calls: answer them or release its session.")),
    unknown=always(False),
)


def _entries(reply: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    return [(e[0], e[1] if isinstance(e[1], dict) else dict(zip(e[1][::2], e[1][1::2], strict=True))) for e in reply or ()]


def _read_stream(reply: Any) -> list[Event]:
    if not reply:
        return []
    streams = reply.values() if isinstance(reply, dict) else [stream[1] for stream in reply]
    return [Event.decode(entry) for entries in streams for entry in _entries(entries)]
