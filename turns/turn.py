"""A turn as Redis has it: claimed by a worker, on record, and event by event."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeVar

from turnstile.turns import output
from turnstile.turns.errors import TurnCancelled, TurnFailed
from turnstile.turns.model_names import model_of
from turnstile.turns.output import Output
from turnstile.turns.question import MESSAGES, Options, Question
from turnstile.turns.states import State
from turnstile.turns.summaries import Summary
from turnstile.turns.text import as_text, loads

_OLD_CODES = {output.OLD_REFUSAL: None, "context_too_long": "context_length_exceeded"}


@dataclass(slots=True)
class Spent:
    """A count of a turn's finished steps, calls of models and their tokens, over all attempts."""

    steps: int = 0
    model_calls: int = 0
    tokens: int = 0
    kept: int = 0
    """Bytes of the state that a graph has kept, if that is large."""

    def encode(self) -> str:
        """Return the text that is stored."""
        return f"{self.steps} {self.model_calls} {self.tokens}" + (f" {self.kept}" if self.kept else "")

    @classmethod
    def decode(cls, text: str) -> Self:
        """Read it; nothing where nothing was counted."""
        return cls(*map(int, text.split()))


@dataclass(frozen=True, slots=True)
class Large:
    """Content that a large turn's claim leaves out: its place in a history that had `length` messages.

    The window is the `newest` ones, and the `first` ones that the conversation begins with.
    """

    newest: int
    first: int
    length: int
    asked: bool
    """Also the question and its options."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A turn in a worker's hands. Times are the server's, in seconds; `window` is newest first, as stored."""

    id: str
    session: str
    token: str
    attempt: int
    attempts_left: int
    """Attempts that are left after this one."""
    sequence: int
    question: Question
    options: Options
    stream: bool
    created: float
    started: float
    now: float
    window: tuple[bytes, ...]
    readable: bool = True
    """False when somebody else has put a key of another type in the history's place."""
    cut: bool = False
    """True when older messages were left out of the window for their size."""
    length: int = 0
    """Messages in the history."""
    size: int = 0
    """Bytes of all that came with the claim, and of what is left out."""
    large: Large | None = None
    """Content that is not there yet."""
    thread: str = ""
    """The first turn of the exchange that this one belongs to: it answers open calls of the thread's last turn."""

    spent: Spent = field(default_factory=Spent)
    """Steps, calls and tokens that earlier attempts at the turn have used; the attempt goes on counting."""

    marked: bool = False
    """True where other questions may belong to the turn; `merge` tells them."""

    interrupted: bool = False
    """True where another question has ended the turn: it is to end with what it has said in earlier attempts."""

    chain: str | None = None
    """The chain that the turn asks for; one that answers calls and names none goes on with the chain of its thread."""

    summary: Summary | None = None
    """The summary of what is older than the window."""

    @property
    def answers(self) -> dict[str, str]:
        """Call id → output, for all open calls that this turn answers."""
        return self.options.answers

    @classmethod
    def decode(cls, id: str, reply: Sequence[bytes | int]) -> Self:
        """Read `claim`'s reply after its first word."""
        session, token, attempt, left, sequence, question, asked, stream, created, started, now = reply[:11]
        readable, cut, thread, origin, spent, busy, length, large = reply[11:19]
        options = Options.decode(as_text(asked))
        size, newest, first, noted, _ = map(int, as_text(large).split() or (0,) * 5)
        return cls(
            id=id,
            session=as_text(session),
            token=as_text(token),
            attempt=int(attempt),
            attempts_left=int(left),
            sequence=int(sequence),
            question=loads(as_text(question) or '""'),
            options=options,
            stream=stream == b"1",
            created=int(created) / 1000,
            started=int(started) / 1000,
            now=int(now) / 1000,
            window=tuple(e for e in reply[19:] if isinstance(e, bytes)),
            readable=bool(readable),
            cut=bool(cut),
            length=noted or int(length),
            size=size or sum(len(part) for part in reply if isinstance(part, bytes)),
            large=Large(newest, first, noted, asked=not asked) if size else None,
            thread=as_text(thread),
            spent=Spent.decode(as_text(spent)),
            marked=bool(busy),
            interrupted=busy == b"interrupt",
            chain=options.chain or Options.decode(as_text(origin)).chain,
        )

    def with_window(self, window: Sequence[bytes]) -> Self:
        """Return the claim with the window that was left out."""
        return replace(self, window=tuple(window), large=None)

    def with_question(self, question: bytes, asked: bytes, origin: bytes) -> Self:
        """Return the claim with the question and the options that were left out; `origin`: the options of its thread."""
        options = Options.decode(as_text(asked))
        chain = options.chain or Options.decode(as_text(origin)).chain
        return replace(self, question=loads(as_text(question) or '""'), options=options, chain=chain)


@dataclass(frozen=True, slots=True)
class Joined:
    """A turn whose question is answered together with another turn's."""

    id: str
    question: Question
    options: Options
    steers: bool
    """True where it came while the other turn was under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """A turn's record without its content. Times are seconds since the epoch by the server's clock; None: not yet."""

    id: str
    session: str
    state: State
    queue: str
    place: int
    """0 at the head of its session, then 1 and up; always 0 once it runs."""
    first_place: int
    """The place that it was accepted at."""
    attempts: int
    dispatches: int
    sequence: int
    """Of the turn's newest event; 0 before the first."""
    created: float
    started: float | None
    finished: float | None
    options: Options
    """Those of an outline and of a result are without the messages that they bring."""
    usage: dict[str, Any] | None
    model: str | None
    code: str | None
    message: str | None
    uncounted_attempts: int = 0
    """Those among the attempts that do not count against `TURNSTILE_MAX_ATTEMPTS`: a server that was away, a budget, a lack of
    room or a shutdown ended them, or they came before a retry by an operator."""
    held: bool = False
    """True as long as the session waits for answers to the turn's calls."""
    detail: str | None = None
    """The model's server's own words about a failure: type and code; its text where content is shown. For an operator."""
    left_out: int = 0
    """Messages of the history that were not sent because the model had no room for them."""
    fallback: str | None = None
    """Why another model answered than the first: `unreachable`, `over_budget`, `too_long` or `out_of_quota`."""
    waits_for: str | None = None
    """The model in whose budget the turn waits for a place."""
    not_before: float | None = None
    """The time at which the turn is to be asked; until then it has no place in its session."""
    merged: str | None = None
    """The turn that answers this question together with its own, once that has begun."""
    members: tuple[str, ...] = ()
    """The turns whose questions this one answers together with its own."""
    settled: bool = True
    """False while an end is decided and not carried out: its last event, or its place in the history, is still to come."""

    @classmethod
    def decode(cls, id: str, reply: Sequence[bytes | int]) -> Self:
        """Read `status`'s reply."""
        record = {as_text(k): as_text(v) for k, v in zip(reply[1::2], reply[2::2], strict=True)}
        return cls(id=id, place=int(reply[0]), **cls._read(record))

    @classmethod
    def _read(cls, record: Mapping[str, str]) -> dict[str, Any]:
        state = State(record["state"])
        return {
            "session": record["session"],
            "state": state,
            "queue": record["queue"],
            "first_place": int(record.get("place", 0)),
            "attempts": int(record["attempts"]),
            "uncounted_attempts": int(record.get("forgiven", 0)),
            "dispatches": int(record.get("dispatches", 0)),
            "sequence": int(record.get("sequence", 0)),
            "created": int(record["created"]) / 1000,
            "started": _seconds(record, "started"),
            "finished": _seconds(record, "finished"),
            "options": cls._read_options(record["options"]),
            "usage": json.loads(record["usage"]) if "usage" in record else None,
            "model": record.get("model"),
            "code": _code(record.get("code")),
            "message": record.get("message"),
            "held": "held_until" in record,
            "detail": record.get("detail"),
            "left_out": int(record.get("left_out", 0)),
            "fallback": record.get("fallback"),
            "waits_for": _waits_for(record) if state is State.QUEUED else None,
            "not_before": _seconds(record, "not_before"),
            "merged": record.get("merged"),
            "members": tuple(filter(None, record.get("members", "").split("\x1e"))),
            "settled": "owed" not in record,
        }

    @classmethod
    def _read_options(cls, text: str) -> Options:
        return Options.decode(text, without=MESSAGES)

    @property
    def ended(self) -> bool:
        """True when the turn has ended, and everything that its end brings with it is done."""
        return self.state.ended and self.settled

    @property
    def shared(self) -> bool:
        """True when the turn answers the questions of several turns."""
        return bool(self.merged or self.members)


RecordForm = TypeVar("RecordForm", bound=Outline)
"""The form in which a record is read: Outline, TurnResult or Record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnResult(Outline):
    """A turn's record with its answer, and without what was asked."""

    output: Output
    """The turn's answer; empty where it has not answered."""
    calls: Output = ()
    """The open calls, in order, as long as the session waits for their answers."""

    @classmethod
    def _read(cls, record: Mapping[str, str]) -> dict[str, Any]:
        outline = super(TurnResult, cls)._read(record)
        items = output.decode(record, outline["state"].answered)
        return {**outline, "output": items, "calls": output.open_calls(items) if outline["held"] else ()}

    @property
    def text(self) -> str:
        """The text of the output; empty where there is none."""
        return output.text_of(self.output)

    @property
    def answer(self) -> str | None:
        """The text of the output; None where there is none."""
        return output.text_of(self.output) if self.output else None

    @property
    def refused(self) -> bool:
        """True when the answer is a refusal."""
        return output.is_refusal(self.output)

    def outcome(self) -> str:
        """Return the answer of an ended turn. Raises TurnFailed, TurnCancelled."""
        if self.state is State.CANCELLED:
            raise TurnCancelled("The turn was cancelled.")
        if self.state is State.FAILED:
            raise TurnFailed(self.code or "internal", self.message or "The turn failed.")
        return self.answer or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(TurnResult):
    """All that is known of a turn."""

    question: Question

    @classmethod
    def _read(cls, record: Mapping[str, str]) -> dict[str, Any]:
        return {**super(Record, cls)._read(record), "question": loads(record["question"])}

    @classmethod
    def _read_options(cls, text: str) -> Options:
        return Options.decode(text)


def _code(code: str | None) -> str | None:
    """Return a failure's code in the words of this version."""
    return _OLD_CODES.get(code, code) if code else None


def _waits_for(record: Mapping[str, str]) -> str | None:
    """Return a model by its name; its budget has another, which tells servers and keys apart."""
    return model_of(record["waits_for"]) if "waits_for" in record else None


def _seconds(record: Mapping[str, str], name: str) -> float | None:
    return int(record[name]) / 1000 if name in record else None


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a turn.

    `type` is `started` (an attempt began, or took its text back), `text` or `refusal` (`data` is a piece of the answer, which
    starts over with each `started`), `reasoning` (`data` is a piece of what the model thinks before it answers), `step` (`data`
    is JSON: the `name` of a graph's step, and its `status`, `started` or `done`), `waiting` (for a place in the budget of a
    model, whose name is `data`), `fallback` (another model answers than the first: `data` is JSON, the `model` and the
    `reason`), or `ended` (`data` is the state). Sequences go up by one. Readers of a turn that was merged with another
    (`merged`, `data` is that turn) get the events of that one.
    """

    sequence: int
    type: str
    attempt: int
    data: str

    @classmethod
    def decode(cls, entry: tuple[bytes, Mapping[bytes, bytes]]) -> Self:
        """Read one entry of a turn's stream."""
        name, values = entry
        return cls(int(name.partition(b"-")[0]), as_text(values[b"type"]), int(values[b"attempt"]), as_text(values[b"data"]))
