"""Celery messages from plain Celery apps: reading them, and recognising dispatches."""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from turnstile.turns.celery_message import ORIGIN, TASK, WEBHOOK_TASK
from turnstile.turns.errors import InvalidTurn, TurnRefused
from turnstile.turns.ids import check_session
from turnstile.turns.question import Options, Question
from turnstile.turns.tracing.context import read as read_trace

UNSUPPORTED = ("countdown", "eta", "expires", "link", "link_error", "chain", "chord")
_MOST_ID = 1_000
_MOST_FOLLOWERS = 1_000
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
_PLAIN = Options()
_FOLLOWED = {"callbacks": "link", "errbacks": "link_error", "chain": "chain", "chord": "chord"}


@dataclass(frozen=True, slots=True)
class Message:
    """A turn that a plain Celery app asks for."""

    id: str
    session: str
    question: Question
    reply: bool
    options: Options = _PLAIN
    """The trace in the message's headers, where OpenTelemetry has put one."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A message for `workers.answer` that cannot become a turn.

    `ids`: its own, and those of the tasks that were to follow it. A caller may wait for the result of any.
    """

    ids: tuple[str, ...]
    error: TurnRefused


def read(raw: bytes | str) -> Message | Refused | None:
    """Read a Celery message; None when it is not for `workers.answer`."""
    try:
        message = json.loads(raw)
        headers = message["headers"]
        if "task" not in headers:
            return _read_protocol_1(message)
        if headers["task"] != TASK:
            return None
        id = headers["id"]
    except _UNREADABLE:
        return None
    embed: Any = {}
    try:
        args, kwargs, embed = _body(message)
        _check(headers, embed)
        session, question = bind(args, kwargs)
        options = _traced(headers.get("traceparent"), headers.get("tracestate"))
        return Message(_text(id), check_session(session), question, not headers.get("ignore_result"), options)
    except InvalidTurn as error:
        return Refused(known_ids(id, *_followers(embed)), error)


def _traced(traceparent: object, tracestate: object) -> Options:
    place = read_trace(traceparent, tracestate)
    return Options(traceparent=place.traceparent, tracestate=place.tracestate or None) if place else Options()


def _read_protocol_1(message: dict[str, Any]) -> Refused | None:
    body = _decoded(message)
    if body["task"] != TASK:
        return None
    return Refused(known_ids(body["id"]), InvalidTurn("Send workers.answer with task_protocol = 2.", param="task_protocol"))


def _decoded(message: dict[str, Any]) -> Any:
    body = message["body"]
    return json.loads(base64.b64decode(body) if message["properties"].get("body_encoding") == "base64" else body)


def _body(message: dict[str, Any]) -> tuple[Any, Any, Any]:
    try:
        args, kwargs, embed = _decoded(message)
        return args, kwargs, embed
    except _UNREADABLE:
        raise InvalidTurn("Send workers.answer as plain JSON: serializer='json', without compression.", param="body") from None


def _check(headers: dict[str, Any], embed: Any) -> None:
    for name in ("eta", "expires"):
        if headers.get(name):
            raise unsupported(name)
    for field, name in _FOLLOWED.items():
        if isinstance(embed, dict) and embed.get(field):
            raise unsupported(name)


def unsupported(name: str) -> InvalidTurn:
    """Return the refusal of an option that turns do not have."""
    if name in ("countdown", "eta", "expires"):
        return InvalidTurn(f"Turns run in the order asked, and end in their history: {name} does not apply.", param=name)
    return InvalidTurn(f"A turn starts no other task: leave {name} out, get() the answer, then send the next task.", param=name)


def bind(args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[str, Question]:
    """Return the session id and the question among a task's arguments. Raises InvalidTurn."""

    def answer(session_id: str, question: Question) -> tuple[str, Question]:
        return session_id, question

    try:
        return answer(*args, **kwargs)
    except TypeError:
        raise InvalidTurn("workers.answer takes (session_id, question).", param="args") from None


def _text(id: object) -> str:
    if not known_ids(id):
        raise InvalidTurn("A task id is a text.", param="id")
    return str(id)


def known_ids(*ids: object) -> tuple[str, ...]:
    """Those of the ids that can be part of a key."""
    return tuple(id for id in ids if isinstance(id, str) and 0 < len(id) <= _MOST_ID and _encodes(id))


def _encodes(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _followers(embed: Any) -> Iterator[object]:
    """Yield the ids of the tasks that were to follow: the caller of a chain waits for its last."""
    if not isinstance(embed, dict):
        return
    for name in ("chain", "chord", "callbacks"):
        signatures = embed.get(name) or ()
        for signature in islice(signatures if isinstance(signatures, list) else [signatures], _MOST_FOLLOWERS):
            options = signature.get("options") if isinstance(signature, dict) else None
            yield options.get("task_id") if isinstance(options, dict) else None


def is_dispatch(message: Any) -> bool:
    """Return whether the scripts have put this message on a queue of ours."""
    try:
        headers = message["headers"]
        return (
            headers["origin"] == ORIGIN
            and headers["task"] in (TASK, WEBHOOK_TASK)
            and headers["eta"] is headers["expires"] is None
            and bool(known_ids(headers["id"]))
            and message["content-type"] == "application/json"
            and isinstance(message["properties"]["delivery_info"], dict)
            and len(_decoded(message)[0]) == 1
        )
    except _UNREADABLE:
        return False
