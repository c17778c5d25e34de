"""Bounds on everything that a caller can send, the same for every producer.

A bound here is what a worker can take in without keeping its other turns waiting.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from turnstile.turns.errors import InvalidTurn

MOST_CONTENT_BYTES = 16_777_216
"""Of a question, or of all messages that come with it, with pictures and files, as JSON."""
MOST_MESSAGES = 2_000
"""In `history` and `before` together."""
MOST_PARTS = 2_000
"""Content parts in a question, and in the messages that come with it."""
MOST_DEPTH = 64
"""Of lists and objects in each other. JSON readers and writers of a model's server end at some hundred."""
MOST_VALUES = 50_000
"""Values in one option or content, so about: each costs every reader of the turn's record. Texts of any length are one."""
MOST_STORED_BYTES = MOST_CONTENT_BYTES + 1_048_576
"""Of one message of a history, with what LangChain keeps beside its content."""
_SMALL_BYTES = {"name": 1_024, "model": 1_024, "metadata": 65_536, "webhook": 65_536, "tools": 262_144}
# OpenAI takes 120,000 characters of names and values in a schema.
_SMALL_BYTES |= {"response_format": 131_072, "parameters": 131_072, "request": 524_288}
_LONGEST_CHARACTER = 6  # bytes, as an escape
_BRACKETS, _NO_BRACKETS = bytes.maketrans(b"[]{}", b"()()"), bytes(set(range(256)) - set(b"[]{}"))


def encode(value: object, param: str) -> str:
    """Return strict JSON; a value that cannot be stored is refused without being quoted."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        check_structure(text.encode(), param)
    except RecursionError:
        raise _too_deep(param) from None
    except (TypeError, ValueError):
        raise InvalidTurn(f"The {param} must be valid Unicode, and JSON all through.", param=param) from None
    return text


def check_structure(text: bytes, param: str, most: int = MOST_VALUES) -> None:
    """Raise InvalidTurn for a JSON text of too many values, or nested too deep, by its marks: no walk through it."""
    if text.count(b"[") + text.count(b"{") + text.count(b",") <= MOST_DEPTH:
        return
    outside = b"".join(text.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    if sum(map(outside.count, (b",", b"[", b"{"))) > most:
        raise InvalidTurn(f"The {param} has more than {most:,} values: send fewer, or longer texts.", param=param)
    nesting = outside.translate(_BRACKETS, _NO_BRACKETS)
    for _ in range(MOST_DEPTH):
        nesting = nesting.replace(b"()", b"")
    if nesting:
        raise _too_deep(param)


def _too_deep(param: str) -> InvalidTurn:
    return InvalidTurn(f"The {param} is nested more than {MOST_DEPTH} deep: flatten it.", param=param)


def encode_options(values: Mapping[str, Any], max_text_bytes: int) -> str:
    """Return options as JSON text, or raise InvalidTurn, which names an option that is too large, and its bound.

    `max_text_bytes` is for the instructions, and for the text of each message that goes into the history.
    """
    before, history = values.get("before") or (), values.get("history") or ()
    param = "history" if history else "before"
    check_messages([*history, *before], param)
    for message in before:
        check_text("A message of `before`", message["content"], max_text_bytes, "before")
    for answer in (values.get("answers") or {}).values():
        check_text("An answer to a call", answer, max_text_bytes, "answers")
    if values.get("instructions"):
        check_text("`instructions`", values["instructions"], max_text_bytes, "instructions")
    texts = {name: encode(value, name) for name, value in values.items()}
    for name, most in _SMALL_BYTES.items():
        check_bytes(f"`{name}`", texts.get(name, ""), most, name)
    text = "{" + ",".join(f'"{name}":{value}' for name, value in texts.items()) + "}"
    check_bytes("The messages that come with the question", text, MOST_CONTENT_BYTES, param)
    return text


def check_messages(messages: Sequence[Mapping[str, Any]], param: str) -> None:
    """Raise InvalidTurn when there are too many messages, or too many parts in them."""
    if len(messages) > MOST_MESSAGES:
        raise InvalidTurn(
            f"{len(messages):,} messages come with the question; at most {MOST_MESSAGES:,} are taken. "
            "Send fewer, or let the session keep its history.",
            param=param,
        )
    _check_parts((message.get("content") for message in messages), param)


def encode_content(what: str, content: str | list[Any], max_text_bytes: int, param: str) -> str:
    """Return a message's content as JSON text, or raise InvalidTurn: too much text, too many parts, too large, or not JSON."""
    _check_parts([content], param)
    text = encode(content, param)
    check_text(what, content, max_text_bytes, param)
    check_bytes(what, text, MOST_CONTENT_BYTES, param)
    return text


def check_text(what: str, content: object, most: int, param: str) -> None:
    """Raise InvalidTurn when the text of a content is too large; pictures and files do not count."""
    if isinstance(content, str) and len(content) * _LONGEST_CHARACTER < most:
        return
    if isinstance(content, list):
        content = [part for part in content if isinstance(part, dict) and part.get("type") == "text"]
    size = len(encode(content, param).encode())
    if size > most:
        raise InvalidTurn(f"{what} has {size:,} bytes of text; TURNSTILE_MAX_QUESTION_BYTES allows {most:,}.", param=param)


def check_bytes(what: str, text: str, most: int, param: str) -> None:
    """Raise InvalidTurn when a JSON text is too large."""
    if len(text) * _LONGEST_CHARACTER > most and (size := len(text.encode())) > most:
        raise InvalidTurn(f"{what} would be {size:,} bytes of JSON; at most {most:,} are taken.", param=param)


def _check_parts(contents: Iterable[object], param: str) -> None:
    parts = sum(len(content) for content in contents if isinstance(content, list))
    if parts > MOST_PARTS:
        raise InvalidTurn(f"The content has {parts:,} parts; at most {MOST_PARTS:,} are taken: join them.", param=param)
