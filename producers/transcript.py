"""A session's history for people and programs, without LangChain."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from turnstile.turns.text import loads_stored

_ROLES = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant", "HumanMessageChunk": "user"}


@dataclass(frozen=True, slots=True)
class HistoryMessage:
    """One message of a history. `turn` is the turn that added it; None for one from elsewhere.

    `role` is `user`, `assistant`, `system`, `tool`, or what the message's author called it. `content` is a text, or content
    parts as in OpenAI's chat messages.
    """

    role: str
    content: str | list[Any]
    turn: str | None = None

    @property
    def text(self) -> str:
        """The content's text; parts that are no text are left out."""
        if isinstance(self.content, str):
            return self.content
        return "".join(map(_part_text, self.content))


def read_history(elements: Iterable[bytes]) -> list[HistoryMessage]:
    """The messages of stored elements, newest first, turned to oldest first; what does not parse is passed over."""
    messages = []
    for element in elements:
        with suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
            messages.append(_read(loads_stored(element)))
    return messages[::-1]


def _read(element: Any) -> HistoryMessage:
    kind, data, mark = element["type"], element["data"], element.get("turnstile")
    role = data["role"] if kind == "chat" else _ROLES.get(kind, kind)
    if not isinstance(role, str) or not isinstance(data["content"], str | list):
        raise TypeError(kind)
    turn = mark.get("turn") if isinstance(mark, dict) else None
    return HistoryMessage(role, data["content"], turn if isinstance(turn, str) else None)


def _part_text(part: Any) -> str:
    if isinstance(part, str):
        return part
    text = part.get("text") if isinstance(part, dict) else None
    return text if isinstance(text, str) else ""
