"""A turn as it is asked for: the question, and the options of one turn."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Self

from turnstile.turns.answers import well_formed
from turnstile.turns.bounds import MOST_CONTENT_BYTES, encode_content, encode_options
from turnstile.turns.celery_message import QUEUES
from turnstile.turns.errors import InvalidTurn
from turnstile.turns.output import MOST_OPEN_CALLS
from turnstile.turns.parameters import check_parameters
from turnstile.turns.text import dumps, loads
from turnstile.turns.tools import check_choice, check_tools
from turnstile.turns.tracing.context import TraceContext, is_traceparent, is_tracestate

Question = str | list[dict[str, Any]]
"""A text, or content parts as in OpenAI's chat messages (`{"type": "text", "text": …}`, `{"type": "image_url", …}`)."""


def encode_question(question: Question, max_bytes: int, *, optional: bool = False) -> str:
    """Return a question as JSON text. Raises InvalidTurn if it is empty, too large, or of another form.

    `max_bytes` is for what is text in it; `turnstile.turns.bounds` has the other bounds. `optional`: it may be an empty text,
    as in a turn that goes on from other messages.
    """
    if not (optional and question == ""):
        _check_form(question)
    return encode_content("The question", question, max_bytes, "question")


def _check_form(question: object) -> None:
    if not isinstance(question, str) and not (isinstance(question, list) and all(map(_is_part, question))):
        raise InvalidTurn(
            "A question is a text, or a list of content parts, each with a `type`; one of type `text` has a text.",
            param="question",
        )
    if not question.strip() if isinstance(question, str) else all(map(_is_blank, question)):
        raise InvalidTurn("The question is empty.", param="question")


def _is_part(part: object) -> bool:
    if not isinstance(part, dict) or not isinstance(part.get("type"), str) or not part["type"]:
        return False
    return part["type"] != "text" or isinstance(part.get("text"), str)


def _is_blank(part: Mapping[str, Any]) -> bool:
    return part["type"] == "text" and not part["text"].strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of one turn, beside the question. Everything is optional."""

    stream: bool = True
    """True: the model is asked to stream, and the text is written to the turn's events as it comes."""
    queue: str = "chat"
    """`chat`, or `batch` for work that nobody sits and waits for."""
    name: str | None = None
    """The asker's name, for the model."""
    chain: str | None = None
    """One of TURNSTILE_CHAINS, by its name."""
    model: str | None = None
    instructions: str | None = None
    """In place of the system prompt, for this turn; empty: no system prompt at all."""
    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    response_format: dict[str, Any] | None = None
    """As in OpenAI's chat completions."""
    tools: list[dict[str, Any]] | None = None
    """Functions that the model may ask the caller to call, as in OpenAI's chat completions; for the default chain."""
    tool_choice: str | dict[str, Any] | None = None
    """As in OpenAI's chat completions: `auto`, `none`, `required`, or the object that names a function."""
    parallel_tool_calls: bool | None = None
    """True: one answer may hold several calls. None: the model's own."""
    parameters: dict[str, Any] = field(default_factory=dict)
    """Further parameters for the model's server, which gets them as they are: `stop`, `seed`, `reasoning_effort`, `top_k`, …"""
    truncation: str | None = None
    """`disabled`: fail where the model has no room for the window of the history, and leave no message of it out."""
    deadline_seconds: float | None = None
    """In place of TURNSTILE_TURN_SECONDS."""
    store: bool = True
    """True: the turn goes into the history."""
    history: list[dict[str, Any]] | None = None
    """In place of the session's history: `{"role", "content"}` messages, oldest first."""
    before: list[dict[str, Any]] = field(default_factory=list)
    """`{"role", "content"}` messages between the history and the question; they go into the history with the turn."""
    answers: dict[str, str] = field(default_factory=dict)
    """Call id → output, for all open calls of the session that the turn is asked in; they come before the question."""
    metadata: dict[str, str] = field(default_factory=dict)
    """The caller's own; kept with the turn's record, never sent to the model."""
    webhook: dict[str, str] = field(default_factory=dict)
    """The webhook for the turn's end: `url`, and the id of the API `key` whose secret signs."""
    request: dict[str, Any] = field(default_factory=dict)
    """Data that a producer wants to find again in the turn's record; JSON, never sent to the model."""
    compact_threshold: int | None = None
    """The gateway's own: tokens of the history in the prompt, at most; what is older is summed up as with TURNSTILE_SUMMARY."""
    summarises: dict[str, Any] | None = None
    """The workers' own: the `session` whose history the turn sums up, to which `place`, and `after` which summary."""
    traceparent: str | None = None
    """The trace that the turn is part of, as in W3C's header. None: the one at work in this program, where there is one."""
    tracestate: str | None = None
    """As in W3C's header of that name."""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Return options from keyword arguments. Raises InvalidTurn, and TypeError for a name that there is not."""
        known = [f.name for f in fields(cls) if f.name not in NOT_ASKED]
        for name in given:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                raise TypeError(f"ask() has no option {name!r}" + (f"; did you mean {near[0]!r}?" if near else "."))
        return cls(**given)

    def __post_init__(self) -> None:
        """Raise InvalidTurn, naming the option, when one does not fit."""
        for kinds, what, names in _FORMS:
            for name in names:
                value = getattr(self, name)
                _check(value is None or (isinstance(value, kinds) and (type(value) is bool) == (kinds is bool)), name, what)
        _check(self.queue in QUEUES, "queue", f"one of {', '.join(QUEUES)}")
        _check(self.truncation in (None, "auto", "disabled"), "truncation", "auto or disabled")
        _check(self.temperature is None or 0 <= self.temperature <= 2, "temperature", "between 0 and 2")
        _check(self.top_p is None or 0 <= self.top_p <= 1, "top_p", "between 0 and 1")
        _check(self.max_output_tokens is None or self.max_output_tokens >= 1, "max_output_tokens", "1 or more")
        _check(
            all(map(_is_message, [*(self.history or ()), *self.before])), "history", "messages with a `role` and a `content`"
        )
        _check(well_formed(self.answers), "answers", f"an object, call id → output, of {MOST_OPEN_CALLS} calls at most")
        stored = self.store and self.history is None
        _check(stored or not self.answers, "answers", "in a turn that is stored, and goes on with its session's history")
        _check(self.traceparent is None or is_traceparent(self.traceparent), "traceparent", "as W3C's Trace Context has it")
        _check(self.tracestate is None or is_tracestate(self.tracestate), "tracestate", "as W3C's Trace Context has it")
        check_parameters(self.parameters)
        check_tools(self.tools or [])
        if self.tool_choice is not None:
            check_choice(self.tool_choice, self.tools or [])
        _check(self.deadline_seconds is None or 0 < self.deadline_seconds <= 86_400 * 30, "deadline_seconds", "above 0")

    @property
    def goes_on(self) -> bool:
        """True where the turn brings other messages than its question, which may then be empty."""
        return bool(self.answers or self.before) or self.history is not None

    @property
    def trace(self) -> TraceContext | None:
        """The trace that the turn is part of."""
        return TraceContext(self.traceparent, self.tracestate or "") if self.traceparent else None

    @property
    def kind(self) -> str:
        """A word that is the same for turns that can be answered together: those that ask for an answer of the same form."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _OWN}
        return hashlib.sha256(dumps(values).encode()).hexdigest()[:16]

    def encode(self, max_text_bytes: int = MOST_CONTENT_BYTES) -> str:
        """JSON of what differs from the defaults, or InvalidTurn when an option is too large, or not JSON all through.

        The trace is left out: a repeat of the same question may come with another one.
        """
        text = encode_options(self._told(_TRACE), max_text_bytes)
        webhook = (*self.webhook, *self.webhook.values())
        _check(all(isinstance(word, str) for word in webhook), "webhook", "an object of texts: `url`, and the API `key`")
        for name in ("history", "before"):
            _check(all(map(_has_content, getattr(self, name) or ())), name, "messages whose content is a text or content parts")
        return text

    def outline(self, encoded: str) -> str:
        """Return JSON of the options without the messages that they bring; empty where those are not most of `encoded`."""
        if len(encoded) < _LARGE or not self.goes_on:
            return ""
        text = dumps(self._told((*_TRACE, *MESSAGES)))
        return text if 2 * len(text) < len(encoded) else ""

    def _told(self, without: Collection[str]) -> dict[str, Any]:
        """Return what differs from the defaults."""
        default = Options()
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in without}
        return {name: value for name, value in values.items() if value != getattr(default, name)}

    @classmethod
    def decode(cls, text: str | bytes, *, without: Collection[str] = ()) -> Self:
        """Read what `encode` wrote, `without` some options; names that this version does not know are passed over."""
        known = {f.name for f in fields(cls)}.difference(without)
        return cls(**{k: v for k, v in loads(text or "{}").items() if k in known})


NOT_ASKED = ("compact_threshold", "summarises")
"""Options that no caller gives."""
_TRACE = ("traceparent", "tracestate")
_LARGE = 4_096
"""Characters of encoded options below which they have no outline."""
MESSAGES = ("history", "before", "answers")
"""Options that are messages, beside the question."""
_OWN = ("name", "before", "answers", "metadata", "webhook", "request", *NOT_ASKED, *_TRACE)
"""Options that each of several questions has for itself, when they are answered together."""

_FORMS: tuple[tuple[Any, str, tuple[str, ...]], ...] = (
    (bool, "true or false", ("stream", "store", "parallel_tool_calls")),
    (str, "text", ("queue", "name", "chain", "model", "instructions", "truncation", "traceparent", "tracestate")),
    (int, "a whole number", ("max_output_tokens", "compact_threshold")),
    ((int, float), "a number", ("temperature", "top_p", "deadline_seconds")),
    (dict, "an object", ("response_format", "parameters", "metadata", "webhook", "request", "summarises")),
    (list, "a list", ("history", "before", "tools")),
)


def _is_message(message: object) -> bool:
    return isinstance(message, dict) and isinstance(message.get("role"), str) and "content" in message


def _has_content(message: Mapping[str, Any]) -> bool:
    """Return True for a content that a chain can read. A message of the assistant that only calls tools has none."""
    content = message["content"]
    if isinstance(content, list):
        return all(isinstance(part, str) or _is_part(part) for part in content)
    return content is None or isinstance(content, str)


def _check(holds: bool, param: str, what: str) -> None:
    if not holds:
        raise InvalidTurn(f"`{param}` must be {what}.", param=param)


def fingerprint(session: str, question: str, options: str) -> str:
    """Tells a repeated `submit` from another question under the same id."""
    return hashlib.sha256("\0".join((session, question, options)).encode()).hexdigest()[:32]
