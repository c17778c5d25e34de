"""Readers of a running turn, without any input or output.

A reader's `step` says what to fetch next (None: it is done); the blocking and the awaited loop fetch it and hand the reply to
`take`. A reader begins with the stored events, waits for more, and looks at the record whenever none came.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from turnstile.turns.errors import InvalidTurn, LoginRefused, QueueUnreachable, TurnNotFinished
from turnstile.turns.text import loads
from turnstile.turns.turn import Event, TurnResult

T = TypeVar("T")

EVENTS_AT_ONCE = 100
"""Events that awaited readers fetch at a time: what a client does not read yet waits at Redis."""
OUTAGE_SECONDS = 60.0
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 1.0


@dataclass(frozen=True, slots=True)
class Read:
    """A step: fetch the events after a sequence; with `wait`, when there may be some. `ending`: only the end matters."""

    after: int
    wait: bool = False
    ending: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """A step: fetch the result; with `idle`, only if the turn has ended or was merged: an answer may be large."""

    idle: bool = False


Step = Read | Look
Reply = Sequence[Event] | TurnResult | None
OnStep = Callable[[str, bool], object]


class Piece(str):
    """A piece of an answer.

    `sequence` is the place to resume from. `starts_over` is True when the turn was restarted and all earlier pieces are void:
    this piece is the first of the whole new answer.
    """

    __slots__ = ("sequence", "starts_over")
    sequence: int
    starts_over: bool

    @classmethod
    def of(cls, text: str, sequence: int, starts_over: bool) -> "Piece":
        """Return a piece with its attributes."""
        piece = cls(text)
        piece.sequence, piece.starts_over = sequence, starts_over
        return piece


def place(step: Step, id: str, teller: str) -> str:
    """Return the turn that a step is about: its end and its record are a turn's own, `teller` may have its events."""
    return id if isinstance(step, Look) or step.ending else teller


def told_by(step: Step, reply: Reply) -> str | None:
    """Return the turn whose events a reader goes on with, because its own turn was merged with that one."""
    if isinstance(reply, TurnResult):
        return reply.merged
    if reply and reply[0].type == "merged" and isinstance(step, Read) and not step.ending:
        return reply[0].data
    return None


class Reader(Generic[T]):
    """A reader of one turn. `step` is what it needs next."""

    step: Step | None

    def take(self, reply: Reply) -> Sequence[T]:
        """Take the reply to the step, and return the new findings."""
        raise NotImplementedError


class EventReader(Reader[Event]):
    """A reader of every event after a sequence, up to the end of the turn.

    `left` is the record of an ended turn without events left to read: all were read, or have expired.
    """

    def __init__(self, after: int = 0) -> None:
        self.after = after
        self.step = Read(after)
        self.left: TurnResult | None = None
        self._ended: TurnResult | None = None

    def take(self, reply: Reply) -> Sequence[Event]:
        """See Reader."""
        if reply is None:
            self.step = Read(self.after, wait=True)
            return ()
        if isinstance(reply, TurnResult):
            self._ended = reply if reply.ended else None
            self.step = Read(self.after, wait=not reply.ended)
            return ()
        if reply:
            self.after = reply[-1].sequence
            # After as many as are read at once there may be more already.
            more = Read(self.after, wait=len(reply) < EVENTS_AT_ONCE)
            self.step = None if reply[-1].type == "ended" else more
        elif self._ended:
            self.left, self.step = self._ended, None
        else:
            self.step = Look(idle=True)
        return reply

    def go_on(self) -> None:
        """Continue after an end that was not the last, because the turn was retried."""
        self.step = Read(self.after, wait=True)


class TextReader(Reader[Piece]):
    """A reader of the answer in pieces; raises TurnFailed or TurnCancelled if the turn ends without one.

    Text of an attempt that is known to be void is skipped. The answer of a turn that does not stream, or whose events have
    expired, is one piece. `on_step` hears the name of each step of a graph, and whether it is done.
    """

    def __init__(self, after: int = 0, on_step: OnStep | None = None) -> None:
        self._on_step = on_step
        self._events = EventReader(after)
        self._shown = after > 0
        self._heard = self._shown
        self._void = False
        self._closing = False
        self._attempt: int | None = None
        self.step = self._events.step

    def take(self, reply: Reply) -> Sequence[Piece]:
        """See Reader."""
        if self._closing and isinstance(reply, TurnResult):
            return self._close(reply)
        events = self._events.take(reply)
        if self._lost_track(events):
            self._events = EventReader()
            self.step = self._events.step
            return ()
        pieces = self._pieces(events)
        self.step = self._events.step
        if self._events.left:
            self._heard = self._events.after >= self._events.left.sequence
            return self._close(self._events.left)
        if self.step is None:
            self._closing, self.step = True, Look()
        return pieces

    def _lost_track(self, events: Sequence[Event]) -> bool:
        """Return True if an attempt continues whose start was never seen: a failover has lost events that were read."""
        for event in events:
            if event.type != "started" and self._attempt not in (None, event.attempt):
                self._attempt = None
                return True
            self._attempt = event.attempt
        return False

    def _pieces(self, events: Sequence[Event]) -> list[Piece]:
        pieces: list[Piece] = []
        for event in events:
            if event.type == "started":
                pieces.clear()
                self._void, self._heard = self._shown, False
            elif event.type == "step" and self._on_step:
                step = loads(event.data)
                self._on_step(step["name"], step["status"] == "done")
            elif event.type == "text":
                pieces.append(Piece.of(event.data, event.sequence, self._void and not self._heard))
                self._heard = True
        self._shown = self._shown or bool(pieces)
        return pieces

    def _close(self, record: TurnResult) -> Sequence[Piece]:
        self._closing, self.step = False, None
        if not record.state.ended:
            self._events.go_on()
            self.step = self._events.step
            return ()
        answer = record.outcome()
        if self._heard or not answer:
            return ()
        return (Piece.of(answer, record.sequence, self._shown),)


class EndReader(Reader[TurnResult]):
    """A reader of the ended turn's record alone."""

    def __init__(self) -> None:
        self.step = Look()
        self._after = 0

    def take(self, reply: Reply) -> Sequence[TurnResult]:
        """See Reader."""
        if isinstance(reply, TurnResult):
            self._after = reply.sequence
            self.step = None if reply.ended else Read(self._after, wait=True, ending=True)
            return (reply,) if reply.ended else ()
        goes_on = reply is None
        if reply:
            self._after, goes_on = reply[-1].sequence, reply[-1].type != "ended"
        self.step = Read(self._after, wait=True, ending=True) if goes_on else Look(idle=not reply)
        return ()


class ResultReader(Reader[TurnResult]):
    """A reader of the record as it is now, without what was asked."""

    def __init__(self) -> None:
        self.step = Look()

    def take(self, reply: Reply) -> Sequence[TurnResult]:
        """See Reader."""
        assert isinstance(reply, TurnResult)
        self.step = None
        return (reply,)


class Patience:
    """The limits of a reader's waiting.

    An outage of Redis is tolerated for the time-out; without one, for OUTAGE_SECONDS.
    """

    def __init__(self, timeout: float | None) -> None:
        if timeout is not None and math.isnan(timeout):
            raise InvalidTurn("`timeout` must be a number of seconds, or None.", param="timeout")
        self._end = None if timeout is None else time.monotonic() + timeout
        self._silent_since: float | None = None
        self._pause = _FIRST_PAUSE

    def left(self, most: float) -> float:
        """Return the seconds for the next step: the time left, `most` at most, and a moment at least for what is stored."""
        return most if self._end is None else min(most, max(self._end - time.monotonic(), _FIRST_PAUSE))

    def check(self, step: Step) -> None:
        """Raise TurnNotFinished if the step waits and the time has passed."""
        waits = isinstance(step, Read) and step.wait
        if waits and self._end is not None and time.monotonic() >= self._end:
            raise TurnNotFinished("The turn has not ended yet; it continues, and can be read later.")

    def answered(self) -> None:
        """Note that Redis answers."""
        self._silent_since, self._pause = None, _FIRST_PAUSE

    def tolerate(self, error: QueueUnreachable) -> float:
        """Return the seconds to pause before the step is retried. Raises if the time has passed, or a retry cannot help."""
        if isinstance(error, LoginRefused):
            raise error
        now = time.monotonic()
        self._silent_since = now if self._silent_since is None else self._silent_since
        if self._end is None:
            if now - self._silent_since > OUTAGE_SECONDS:
                raise error
        elif now >= self._end:
            raise TurnNotFinished(
                "The time-out passed while Redis did not answer; the turn continues when Redis is back."
            ) from error
        pause, self._pause = self._pause, min(self._pause * 2, _LONGEST_PAUSE)
        return self.left(pause)
