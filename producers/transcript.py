"""A session's history for people and programs, without LangChain."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from turnstile.memory.element import Element, read
from turnstile.turns.output import Item


@dataclass(frozen=True, slots=True)
class HistoryMessage:
    """A message of a history. `turn` is the turn that added it; None for one from elsewhere.

    `role` is `user`, `assistant`, `system`, `tool`, or what the message's author called it. `content` is a text, or content
    parts as in OpenAI's chat messages. `calls` are the calls of tools that an assistant's message makes, as output items;
    `call_id` is the one that a tool's message answers.
    """

    role: str
    content: str | list[Any]
    turn: str | None = None
    calls: tuple[Item, ...] = ()
    call_id: str | None = None
    reasoning: str = ""

    @property
    def text(self) -> str:
        """The content's text, without parts that are no text."""
        if isinstance(self.content, str):
            return self.content
        return "".join(map(_part_text, self.content))


def read_history(elements: Iterable[bytes]) -> list[HistoryMessage]:
    """Return the messages of stored elements, which come newest first, oldest first. Anything unreadable is left out."""
    stored = [element for element in map(read, elements) if element]
    return [_message(element) for element in reversed(stored)]


def _message(element: Element) -> HistoryMessage:
    about = (element.turn, tuple(element.calls), element.answers, element.reasoning)
    return HistoryMessage(element.role, element.content, *about)


def _part_text(part: Any) -> str:
    if isinstance(part, str):
        return part
    text = part.get("text") if isinstance(part, dict) else None
    return text if isinstance(text, str) else ""
