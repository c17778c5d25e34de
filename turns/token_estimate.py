"""Estimates of tokens, for calls whose server has not told how many they took."""

from collections.abc import Iterator
from typing import Any

_TOKEN_BYTES = 4
_LEAST_MEDIUM = 1_000
_MEDIUM_BYTES = 100
_MEDIA = {"image_url": "url", "input_audio": "data", "file": "file_data"}
_TEXT_FILE = "data:text/"


def prompt_tokens(request: bytes, messages: object = ()) -> int:
    """Return the tokens of a request with these messages: four bytes to a token.

    Parts of a message that are pictures count 1,000 tokens; recordings and files no less, and one for 100 bytes. A text is
    a text, whatever it looks like, and so is a file that says it is one.
    """
    size, tokens = len(request), 0
    for kind, data in _media(messages):
        size -= len(data)
        tokens += _LEAST_MEDIUM if kind == "image_url" else _medium_tokens(data)
    return tokens + max(0, size) // _TOKEN_BYTES


def text_tokens(size: int) -> int:
    """Return the tokens of a text of so many bytes."""
    return -(-size // _TOKEN_BYTES)


def _media(messages: object) -> Iterator[tuple[str, str]]:
    for message in messages if isinstance(messages, list | tuple) else ():
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict) and (found := _medium(part)):
                yield found


def _medium(part: dict[str, Any]) -> tuple[str, str] | None:
    kind = part.get("type")
    held = part.get(kind) if isinstance(kind, str) and kind in _MEDIA else None
    data = held.get(_MEDIA[str(kind)]) if isinstance(held, dict) else None
    return (str(kind), data) if isinstance(data, str) else None


def _medium_tokens(data: str) -> int:
    if data[:64].lower().startswith(_TEXT_FILE):
        return len(data) * 3 // 4 // _TOKEN_BYTES
    return max(_LEAST_MEDIUM, len(data) // _MEDIUM_BYTES)
