"""Text and JSON as they are stored: UTF-8 all through, whatever a caller or a server sends."""

import json
from collections.abc import Callable
from typing import Any

from pydantic_core import from_json


def dumps(value: Any, default: Callable[[Any], Any] | None = None) -> str:
    """Compact JSON; text stays readable, and becomes whole."""
    return whole(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=default))


def loads(text: str | bytes) -> Any:
    """Parse JSON as json.loads does, in half the time. Raises ValueError also for what is nested too deeply to be read."""
    try:
        return from_json(text)
    except ValueError:
        return _read(text)  # which also reads an escaped half of a surrogate pair


def _read(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def loads_stored(text: str | bytes) -> Any:
    """Parse JSON that others may have stored: no model's server takes half of a surrogate pair, so text becomes whole.

    Raises ValueError also for what is nested too deeply to be sent on.
    """
    try:
        return from_json(text)
    except ValueError:
        return from_json(dumps(_read(text)))


def whole(text: str) -> str:
    """Return the text as UTF-8 can hold it: surrogates are joined to their other half, or become U+FFFD when there is none.

    Servers that escape an emoji in two chunks of JSON send such halves.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def as_text(value: bytes | int | str) -> str:
    """Return a reply's element as text."""
    return value.decode() if isinstance(value, bytes) else str(value)
