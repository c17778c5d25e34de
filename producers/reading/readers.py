"""How a turn is read while it runs: what to fetch next and what to make of it, without doing any of it.

A reader says in `step` what it needs (None: it is done) and takes the reply; the client's two faces fetch, one blocking and
one awaited. A reader begins with what is there, waits for more, and looks at the record whenever nothing came.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from turnstile.turns.errors import QueueUnreachable, TurnNotFinished
from turnstile.turns.turn import Event, Record

T = TypeVar("T")

OUTAGE_SECONDS = 60.0
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 1.0


@dataclass(frozen=True, slots=True)
class Read:
    """Fetch the events after a sequence; with `wait`, once there may be some. `ending`: only the end is of interest."""

    after: int
    wait: bool = False
    ending: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """Fetch the record."""


Step = Read | Look


class Piece(str):
    """A piece of an answer.

    `sequence` is the place to resume from. `starts_over` is True when the turn had to start again and all pieces before this
    one are void: this one is the first of the whole new answer.
    """

    __slots__ = ("sequence", "starts_over")
    sequence: int
    starts_over: bool

    @classmethod
    def of(cls, text: str, sequence: int, starts_over: bool) -> "Piece":
        """A piece with its marks."""
        piece = cls(text)
        piece.sequence, piece.starts_over = sequence, starts_over
        return piece


class Reader(Generic[T]):
    """Reads one turn. `step` is what it needs next."""

    step: Step | None

    def take(self, reply: Sequence[Event] | Record) -> Sequence[T]:
        """Take in what the step fetched; what there is to hand out now."""
        raise NotImplementedError


class EventReader(Reader[Event]):
    """Hands out every event after a sequence, up to the end of the turn.

    `left` is the record of an ended turn of which no event is left to read: all seen, or expired.
    """

    def __init__(self, after: int = 0) -> None:
        self.after = after
        self.step = Read(after)
        self.left: Record | None = None
        self._ended: Record | None = None

    def take(self, reply: Sequence[Event] | Record) -> Sequence[Event]:
        """See Reader."""
        if isinstance(reply, Record):
            self._ended = reply if reply.ended else None
            self.step = Read(self.after, wait=not reply.ended)
            return ()
        if reply:
            self.after = reply[-1].sequence
            self.step = None if reply[-1].type == "ended" else Read(self.after, wait=True)
        elif self._ended:
            self.left, self.step = self._ended, None
        else:
            self.step = Look()
        return reply

    def go_on(self) -> None:
        """Read on after an end that was not the last: the turn was retried."""
        self.step = Read(self.after, wait=True)


class TextReader(Reader[Piece]):
    """Hands out the answer in pieces, and raises TurnFailed or TurnCancelled when the turn ends without one.

    Text of an attempt that is known to be void is passed over. The answer of a turn that does not stream, or whose events have
    expired, is one piece.
    """

    def __init__(self, after: int = 0) -> None:
        self._events = EventReader(after)
        self._shown = after > 0
        self._heard = self._shown
        self._void = False
        self._closing = False
        self._attempt: int | None = None
        self.step = self._events.step

    def take(self, reply: Sequence[Event] | Record) -> Sequence[Piece]:
        """See Reader."""
        if self._closing and isinstance(reply, Record):
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
        """Whether an attempt goes on whose start was never seen: a failover has lost events that were handed out."""
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
            elif event.type == "text":
                pieces.append(Piece.of(event.data, event.sequence, self._void and not self._heard))
                self._heard = True
        self._shown = self._shown or bool(pieces)
        return pieces

    def _close(self, record: Record) -> Sequence[Piece]:
        self._closing, self.step = False, None
        if not record.state.ended:
            self._events.go_on()
            self.step = self._events.step
            return ()
        answer = record.outcome()
        if self._heard or not answer:
            return ()
        return (Piece.of(answer, record.sequence, self._shown),)


class EndReader(Reader[Record]):
    """Hands out the record of the ended turn, and nothing else."""

    def __init__(self) -> None:
        self.step = Look()

    def take(self, reply: Sequence[Event] | Record) -> Sequence[Record]:
        """See Reader."""
        if not isinstance(reply, Record):
            more = bool(reply) and reply[-1].type != "ended"
            self.step = Read(reply[-1].sequence, wait=True, ending=True) if more else Look()
            return ()
        if reply.ended:
            self.step = None
            return (reply,)
        self.step = Read(reply.sequence, wait=True, ending=True)
        return ()


class Patience:
    """How long a reader waits, and how it bears an outage of Redis.

    With a time-out an outage is borne until it passes; without one, for OUTAGE_SECONDS.
    """

    def __init__(self, timeout: float | None) -> None:
        self._end = None if timeout is None else time.monotonic() + timeout
        self._silent_since: float | None = None
        self._pause = _FIRST_PAUSE

    def left(self, most: float) -> float:
        """Seconds for the next step: what is left, `most` at most, and a moment at least so that what is there is read."""
        return most if self._end is None else min(most, max(self._end - time.monotonic(), _FIRST_PAUSE))

    def check(self, step: Step) -> None:
        """Raise TurnNotFinished when the step waits and the time has passed."""
        waits = isinstance(step, Read) and step.wait
        if waits and self._end is not None and time.monotonic() >= self._end:
            raise TurnNotFinished("The turn has not ended yet; it goes on, and can be read again later.")

    def answered(self) -> None:
        """Redis answers."""
        self._silent_since, self._pause = None, _FIRST_PAUSE

    def bear(self, error: QueueUnreachable) -> float:
        """Seconds to pause before the step is tried again; raises when the time has passed."""
        now = time.monotonic()
        self._silent_since = now if self._silent_since is None else self._silent_since
        if self._end is None:
            if now - self._silent_since > OUTAGE_SECONDS:
                raise error
        elif now >= self._end:
            raise TurnNotFinished(
                "The time-out passed while Redis did not answer; the turn goes on when it is back."
            ) from error
        pause, self._pause = self._pause, min(self._pause * 2, _LONGEST_PAUSE)
        return self.left(pause)
