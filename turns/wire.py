"""What is written to Redis and read back: questions, options, records, events, and the Celery message of a dispatch."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

from pydantic_core import from_json

from turnstile.turns.errors import WIRE_MODULE, InvalidTurn, TurnCancelled, TurnFailed, TurnRefused
from turnstile.turns.states import State

Question = str | list[dict[str, Any]]
"""A text, or content parts as in OpenAI's chat messages (`{"type": "text", "text": …}`, `{"type": "image_url", …}`)."""

MOST_QUESTION_BYTES = 16_777_216
"""Of a question with its pictures and files, as JSON."""

TASK = "workers.answer"
ORIGIN = "turnstile"
"""Whose message a dispatch is."""
QUEUES = ("chat", "batch")
REFUSAL = "refusal"
"""The code of a turn whose answer says why there is none; it is completed like any other."""
UNREADABLE = "The history of this session cannot be read: its key holds another type. Erase the session, or move that key."
NOTICE_TASK = "workers.notify"
NOTICE_QUEUE = "webhooks"

_PART = r"[A-Za-z0-9._@+~=:-]{1,200}"
_SESSION = re.compile(rf"(?:{_PART}/)?{_PART}")
_TURN = re.compile(r"[A-Za-z0-9_-]{1,100}")


def dumps(value: Any, default: Callable[[Any], Any] | None = None) -> str:
    """Compact JSON; text stays readable, and becomes whole."""
    return whole(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=default))


def loads(text: str | bytes) -> Any:
    """As json.loads, in half the time. Raises ValueError."""
    try:
        return from_json(text)
    except ValueError:
        return json.loads(text)  # which also reads an escaped half of a surrogate pair


def loads_stored(text: str | bytes) -> Any:
    """As `loads`, for what others may have stored: no model's server takes half of a surrogate pair, so text becomes whole."""
    try:
        return from_json(text)
    except ValueError:
        return json.loads(dumps(json.loads(text)))


def whole(text: str) -> str:
    """The text as UTF-8 can hold it: surrogates are joined to their other half, or become U+FFFD when there is none.

    Servers that escape an emoji in two chunks of JSON send such halves.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def check_session(session: str) -> str:
    """Return the session id, or raise InvalidTurn when its form is wrong."""
    if not isinstance(session, str) or not _SESSION.fullmatch(session):
        raise InvalidTurn(
            "A session id is 1 to 200 of the characters A-Z a-z 0-9 . _ @ + ~ = : - , with `tenant/` before it at most.",
            param="session",
        )
    return session


def check_turn(turn: str) -> str:
    """Return the turn id, or raise InvalidTurn when its form is wrong."""
    if not isinstance(turn, str) or not _TURN.fullmatch(turn):
        raise InvalidTurn("A turn id is 1 to 100 of the characters A-Z a-z 0-9 _ - .", param="id")
    return turn


def encode_question(question: Question, max_bytes: int) -> str:
    """The question as JSON text, or InvalidTurn: empty, too large, not text, or not a list of content parts.

    `max_bytes` is for what is text in it; with pictures and files a question has at most MOST_QUESTION_BYTES.
    """
    if not _well_formed(question):
        raise InvalidTurn("A question is a text, or a list of content parts that each have a `type`.", param="question")
    text = _encode(question, "question")
    told = text if isinstance(question, str) else _encode([p for p in question if p["type"] == "text"], "question")
    _check_size("The question's text", told, max_bytes, "TURNSTILE_MAX_QUESTION_BYTES allows")
    _check_size("The question", text, MOST_QUESTION_BYTES, "the most that is taken is")
    return text


def _check_size(what: str, text: str, most: int, limit: str) -> None:
    size = len(text.encode())
    if size > most:
        raise InvalidTurn(f"{what} has {size:,} bytes; {limit} {most:,}.", param="question")


def _encode(value: object, param: str) -> str:
    """Strict JSON; what cannot be stored is refused without being quoted."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except (TypeError, ValueError, RecursionError):
        raise InvalidTurn(f"The {param} must be valid Unicode, and JSON all through.", param=param) from None
    return text


def _well_formed(question: object) -> bool:
    if isinstance(question, str):
        return bool(question.strip())
    return bool(question) and isinstance(question, list) and all(isinstance(p, dict) and p.get("type") for p in question)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a caller may ask of one turn, beside the question. Everything is optional."""

    stream: bool = True
    """Whether the model is asked to stream and the text is written to the turn's events as it comes."""
    queue: str = "chat"
    """`chat`, or `batch` for work that nobody sits and waits for."""
    name: str | None = None
    """Who asks, where the model is to know."""
    model: str | None = None
    instructions: str | None = None
    """In place of the system prompt, for this turn."""
    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    response_format: dict[str, Any] | None = None
    """As in OpenAI's chat completions."""
    deadline_seconds: float | None = None
    """In place of TURNSTILE_TURN_SECONDS."""
    store: bool = True
    """Whether the turn goes into the history."""
    history: list[dict[str, Any]] | None = None
    """In place of the session's history: `{"role", "content"}` messages, oldest first."""
    before: list[dict[str, Any]] = field(default_factory=list)
    """`{"role", "content"}` messages between the history and the question; they go into the history with the turn."""
    metadata: dict[str, str] = field(default_factory=dict)
    """The caller's own; kept with the turn's record, never sent to the model."""
    webhook: dict[str, str] = field(default_factory=dict)
    """Where to tell of the turn's end: `url`, and the id of the API `key` whose secret signs."""
    request: dict[str, Any] = field(default_factory=dict)
    """What a producer wants to find again in the turn's record; JSON, never sent to the model."""

    def __post_init__(self) -> None:
        """Raise InvalidTurn, naming the option, when one does not fit."""
        for kinds, what, names in _FORMS:
            for name in names:
                value = getattr(self, name)
                _check(value is None or (isinstance(value, kinds) and (type(value) is bool) == (kinds is bool)), name, what)
        _check(self.queue in QUEUES, "queue", f"one of {', '.join(QUEUES)}")
        _check(self.temperature is None or 0 <= self.temperature <= 2, "temperature", "between 0 and 2")
        _check(self.top_p is None or 0 <= self.top_p <= 1, "top_p", "between 0 and 1")
        _check(self.max_output_tokens is None or self.max_output_tokens >= 1, "max_output_tokens", "1 or more")
        _check(
            all(map(_is_message, [*(self.history or ()), *self.before])), "history", "messages with a `role` and a `content`"
        )
        _check(self.deadline_seconds is None or 0 < self.deadline_seconds <= 86_400 * 30, "deadline_seconds", "above 0")

    def encode(self) -> str:
        """JSON of what differs from the defaults, or InvalidTurn when an option is not JSON all through."""
        default = Options()
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return _encode({name: value for name, value in values.items() if value != getattr(default, name)}, "options")

    @classmethod
    def decode(cls, text: str | bytes) -> Self:
        """Read what `encode` wrote; names that this version does not know are passed over."""
        known = {f.name for f in fields(cls)}
        return cls(**{k: v for k, v in loads(text or "{}").items() if k in known})


_FORMS: tuple[tuple[Any, str, tuple[str, ...]], ...] = (
    (bool, "true or false", ("stream", "store")),
    (str, "text", ("queue", "name", "model", "instructions")),
    (int, "a whole number", ("max_output_tokens",)),
    ((int, float), "a number", ("temperature", "top_p", "deadline_seconds")),
    (dict, "an object", ("response_format", "metadata", "webhook", "request")),
    (list, "a list", ("history", "before")),
)


def _is_message(message: object) -> bool:
    return isinstance(message, dict) and isinstance(message.get("role"), str) and "content" in message


def _check(holds: bool, param: str, what: str) -> None:
    if not holds:
        raise InvalidTurn(f"`{param}` must be {what}.", param=param)


def fingerprint(session: str, question: str, options: str) -> str:
    """Tells a repeated `submit` from another question under the same id."""
    return hashlib.sha256("\0".join((session, question, options)).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Claim:
    """A turn in a worker's hands. Times are the server's, in seconds; `window` is newest first, as stored."""

    id: str
    session: str
    token: str
    attempt: int
    chances: int
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
    """Whether the history is one: somebody else may have put a key of another type in its place."""

    @classmethod
    def decode(cls, id: str, reply: Sequence[bytes | int]) -> Self:
        """Read `claim`'s reply after its first word."""
        session, token, attempt, chances, sequence, question, options, stream, created, started, now, readable = reply[:12]
        return cls(
            id=id,
            session=text(session),
            token=text(token),
            attempt=int(attempt),
            chances=int(chances),
            sequence=int(sequence),
            question=loads(text(question)),
            options=Options.decode(text(options)),
            stream=stream == b"1",
            created=int(created) / 1000,
            started=int(started) / 1000,
            now=int(now) / 1000,
            window=tuple(e for e in reply[12:] if isinstance(e, bytes)),
            readable=bool(readable),
        )


@dataclass(frozen=True, slots=True)
class Record:
    """All that is known of a turn. Times are seconds since the epoch by the server's clock; None: not yet."""

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
    question: Question
    options: Options
    answer: str | None
    usage: dict[str, Any] | None
    model: str | None
    code: str | None
    message: str | None

    @classmethod
    def decode(cls, id: str, reply: Sequence[bytes | int]) -> Self:
        """Read `status`'s reply."""
        record = {text(k): text(v) for k, v in zip(reply[1::2], reply[2::2], strict=True)}
        return cls(
            id=id,
            session=record["session"],
            state=State(record["state"]),
            queue=record["queue"],
            place=int(reply[0]),
            first_place=int(record.get("place", 0)),
            attempts=int(record["attempts"]),
            dispatches=int(record.get("dispatches", 0)),
            sequence=int(record.get("sequence", 0)),
            created=int(record["created"]) / 1000,
            started=_seconds(record, "started"),
            finished=_seconds(record, "finished"),
            question=loads(record["question"]),
            options=Options.decode(record["options"]),
            answer=record.get("answer", "" if State(record["state"]).answered else None),
            usage=json.loads(record["usage"]) if "usage" in record else None,
            model=record.get("model"),
            code=record.get("code"),
            message=record.get("message"),
        )

    def outcome(self) -> str:
        """The answer of an ended turn, or TurnFailed or TurnCancelled."""
        if self.state is State.CANCELLED:
            raise TurnCancelled("The turn was cancelled.")
        if self.state is State.FAILED:
            raise TurnFailed(self.code or "internal", self.message or "The turn failed.")
        return self.answer or ""


def _seconds(record: Mapping[str, str], name: str) -> float | None:
    return int(record[name]) / 1000 if name in record else None


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a turn.

    `type` is `started` (an attempt began), `text` (`data` is a piece of the answer; a new attempt starts over) or `ended`
    (`data` is the state). Sequences go up by one.
    """

    sequence: int
    type: str
    attempt: int
    data: str

    @classmethod
    def decode(cls, entry: tuple[bytes, Mapping[bytes, bytes]]) -> Self:
        """Read one entry of a turn's stream."""
        name, values = entry
        return cls(int(name.partition(b"-")[0]), text(values[b"type"]), int(values[b"attempt"]), text(values[b"data"]))


def text(value: bytes | int | str) -> str:
    """A reply's element as text."""
    return value.decode() if isinstance(value, bytes) else str(value)


def refusal(id: str, error: TurnRefused) -> str:
    """The result, in Celery's form, of a task that was not accepted as a turn."""
    result = {"exc_type": type(error).__name__, "exc_message": [str(error)], "exc_module": WIRE_MODULE}
    return json.dumps({"task_id": id, "status": "FAILURE", "result": result, "traceback": None, "children": []})


def envelope(*, show_content: bool = False) -> str:
    """The Celery message that dispatches a turn; `dispatch.lua` fills @id@, @session@, @queue@, @tag@.

    It names the turn and its session and nothing else, so there is nothing in it to hide or to lose; with `show_content`,
    Flower is told the question (@question@).
    """
    return _message(TASK, "@id@", "@session@", "('@session@', @question@)" if show_content else "('@session@',)")


def notice() -> str:
    """The Celery message that sends a webhook off; `post.lua` fills @id@, @turn@, @queue@, @tag@."""
    return _message(NOTICE_TASK, "@id@", "@turn@", "('@turn@',)")


def _message(task: str, id: str, argument: str, shown: str) -> str:
    """A Celery message: protocol 2, JSON."""
    headers: dict[str, Any] = {
        "lang": "py",
        "task": task,
        "id": id,
        "shadow": None,
        "eta": None,
        "expires": None,
        "group": None,
        "group_index": None,
        "retries": 0,
        "timelimit": [None, None],
        "root_id": id,
        "parent_id": None,
        "argsrepr": shown,
        "kwargsrepr": "{}",
        "origin": ORIGIN,
        "ignore_result": True,
        "replaced_task_nesting": 0,
        "stamped_headers": None,
        "stamps": {},
    }
    embed = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    properties = {
        "correlation_id": id,
        "reply_to": "",
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": "@queue@"},
        "priority": 0,
        "body_encoding": "utf-8",
        "delivery_tag": "@tag@",
    }
    message = {
        "body": json.dumps([[argument], {}, embed]),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers,
        "properties": properties,
    }
    return json.dumps(message)
