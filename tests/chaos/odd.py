"""Strange Celery messages, drawn from a seed: broken, foreign, ill-typed, huge, deep, or asking for what turns do not do.

What they say is SECRET: nothing of it may stand in any log. Some of them are turns all the same, as good as any.
"""

import base64
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.chaos.record import question
from turnstile.turns.celery_message import TASK, WEBHOOK_QUEUE, WEBHOOK_TASK

SECRET = "storm-secret"  # the word that logs are searched for
MARK = "odd-"
"""The prefix of every well-formed id in such a message."""

_QUEUES = ("celery", "celery", "celery\x06\x163", "celery\x06\x169", "chat", "chat", "batch", WEBHOOK_QUEUE)
_HUGE, _DEEP = 300_000, 50_000

Message = dict[str, Any]
Spoil = Callable[[Message, random.Random], Any]


@dataclass(frozen=True, slots=True)
class Odd:
    """A message for a queue, and the turn and session that it names, should it be taken for a turn."""

    queue: str
    raw: bytes
    turn: str
    session: str


def draw(chosen: random.Random, sessions: list[str]) -> Odd:
    """One message; its turn, if it is one, goes into one of the sessions."""
    turn, session = f"{MARK}{chosen.randrange(10**9)}", chosen.choice(sessions)
    queue = chosen.choice(_QUEUES)
    name, spoil = chosen.choice(_SPOILERS)
    message = _task(turn, session, WEBHOOK_TASK if queue == WEBHOOK_QUEUE else TASK, queue)
    spoilt = spoil(message, chosen)
    raw = spoilt if isinstance(spoilt, bytes) else json.dumps(message).encode()
    # Where ids or arguments are strange, what it is taken for is not for us to know.
    return Odd(queue, raw, turn, "" if name in _NAMELESS else session)


def _task(turn: str, session: str, task: str, queue: str) -> Message:
    """Return a message as kombu writes it."""
    return {
        "body": "",
        "arguments": [[session, f"{question(turn)} {SECRET}"], {}, dict.fromkeys(("callbacks", "errbacks", "chain", "chord"))],
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py",
            "task": task,
            "id": turn,
            "root_id": turn,
            "parent_id": None,
            "group": None,
            "eta": None,
            "expires": None,
            "retries": 0,
            "timelimit": [None, None],
            "argsrepr": SECRET,
            "kwargsrepr": "{}",
            "origin": "stranger",
            "ignore_result": False,
        },
        "properties": {
            "correlation_id": turn,
            "reply_to": "8d9a3f0e-0000-0000-0000-000000000000",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue.partition("\x06")[0]},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": turn,
        },
    }


def _closed(message: Message) -> None:
    """Put the arguments into the body."""
    body = json.dumps(message.pop("arguments")).encode()
    message["body"] = base64.b64encode(body).decode()


def _raw(text: str | bytes) -> Spoil:
    return lambda _message, _chosen: text if isinstance(text, bytes) else text.encode()


def _header(name: str, *values: Any) -> Spoil:
    def spoil(message: Message, chosen: random.Random) -> None:
        message["headers"][name] = chosen.choice(values)
        _closed(message)

    return spoil


def _property(name: str, *values: Any) -> Spoil:
    def spoil(message: Message, chosen: random.Random) -> None:
        message["properties"][name] = chosen.choice(values)
        _closed(message)

    return spoil


def _without(*names: str) -> Spoil:
    def spoil(message: Message, chosen: random.Random) -> None:
        _closed(message)
        del message[chosen.choice(names)]

    return spoil


def _missing(part: str, *names: str) -> Spoil:
    def spoil(message: Message, chosen: random.Random) -> None:
        _closed(message)
        del message[part][chosen.choice(names)]

    return spoil


def _arguments(*values: Any) -> Spoil:
    def spoil(message: Message, chosen: random.Random) -> None:
        message["arguments"][0] = chosen.choice(values)
        _closed(message)

    return spoil


def _argument(at: int, *values: Any) -> Spoil:
    def spoil(message: Message, chosen: random.Random) -> None:
        message["arguments"][0][at] = chosen.choice(values)
        _closed(message)

    return spoil


def _embedded(name: str) -> Spoil:
    def spoil(message: Message, _: random.Random) -> None:
        signature = {"task": "stranger.next", "args": [SECRET], "kwargs": {}, "options": {"task_id": "x"}, "subtask_type": None}
        message["arguments"][2][name] = [signature] if name != "chord" else signature
        _closed(message)

    return spoil


def _body(content_type: str, body: str) -> Spoil:
    def spoil(message: Message, _: random.Random) -> None:
        message["content-type"], message["body"] = content_type, body
        del message["arguments"]

    return spoil


def _deep_question(message: Message, _: random.Random) -> None:
    del message["arguments"]
    message["body"] = base64.b64encode(f'[["{MARK}s", {"[" * _DEEP}{"]" * _DEEP}], {{}}, {{}}]'.encode()).decode()


def _time(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def _at(name: str, seconds: float) -> Spoil:
    return lambda message, chosen: _header(name, _time(seconds))(message, chosen)


def _good(message: Message, _: random.Random) -> None:
    _closed(message)


_PICKLE = base64.b64encode(b"\x80\x04\x95\x0c\x00\x00\x00\x00\x00\x00\x00\x8c\x0c" + SECRET.encode() + b"\x94.").decode()
_PLAIN = base64.b64encode(SECRET.encode()).decode()
_STRANGE_IDS: tuple[Any, ...] = ("\ud800", 7, None, [], {}, "", "a b", "../x", "x" * 100_000, True)

_SPOILERS: list[tuple[str, Spoil]] = [
    ("good", _good),
    ("raw", _raw("")),
    ("raw", _raw(f"{{{SECRET}")),
    ("raw", _raw(f'"{SECRET}"')),
    ("raw", _raw("null")),
    ("raw", _raw("[]")),
    ("raw", _raw("{}")),
    ("raw", _raw("17")),
    ("raw", _raw(b"\xff\xfe\x00" + SECRET.encode())),
    ("raw", _raw("[" * _DEEP)),
    ("raw", _raw('{"headers": ' + "[" * _DEEP + "]" * _DEEP + "}")),
    ("id", _header("id", *_STRANGE_IDS)),
    ("root", _header("root_id", *_STRANGE_IDS)),
    ("task", _header("task", "stranger.task", "workers.nothing", None, 3, "", "celery.backend_cleanup", "\ud800")),
    ("eta", _at("eta", 2)),
    ("eta", _at("eta", 3_600)),
    ("eta", _header("eta", "nonsense", 5, "2026-13-45")),
    ("expires", _at("expires", -60)),
    ("expires", _at("expires", 60)),
    ("expires", _header("expires", "nonsense", 5)),
    ("limit", _header("timelimit", [1, 1], "x", None)),
    ("retries", _header("retries", 3, "x", -1)),
    ("group", _header("group", "g1", 5)),
    ("ignore", _header("ignore_result", "x", 1, None)),
    ("compression", _header("compression", "application/x-gzip", "nonsense")),
    ("priority", _property("priority", 9, 3, -1, "x", None)),
    ("info", _property("delivery_info", {}, None, "x")),
    ("tag", _property("delivery_tag", None, 5, "")),
    ("reply", _property("reply_to", None, 5)),
    ("encoding", _property("body_encoding", "nonsense", None)),
    ("part", _without("headers", "properties", "body", "content-type", "content-encoding")),
    ("part", _missing("headers", "id", "task", "root_id", "argsrepr", "retries")),
    ("part", _missing("properties", "delivery_info", "delivery_tag", "body_encoding", "correlation_id")),
    ("arguments", _arguments([], ["s"], ["s", "q", "r"], {}, None, "text")),
    ("arguments", _argument(0, 7, None, "\ud800", "x" * 1_000, "a/b/c", "", [], {})),
    ("question", _argument(1, 7, None, f"{SECRET} \ud83d", "", [], {}, [{"type": "text"}], [1], f"{SECRET} " * (_HUGE // 10))),
    ("arguments", _deep_question),
    ("embedded", _embedded("callbacks")),
    ("embedded", _embedded("chain")),
    ("embedded", _embedded("chord")),
    ("type", _body("application/x-python-serialize", _PICKLE)),
    ("type", _body("application/x-yaml", _PLAIN)),
    ("type", _body("application/x-msgpack", _PLAIN)),
    ("type", _body("application/json", f"not base64 {SECRET}")),
]
_NAMELESS = ("raw", "id", "arguments")
