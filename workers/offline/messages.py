"""Messages of a request, as OpenAI's API writes them down."""

from collections.abc import Mapping, Sequence
from typing import Any

Message = Mapping[str, Any]


def text_of(content: Any) -> str:
    """Return the text of a message's content: a string, or a list of parts of which only the text ones count."""
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def last_question(messages: Sequence[Message]) -> str:
    """Return the text of the newest user message, or an empty string."""
    return next((text_of(message.get("content")) for message in reversed(messages) if message.get("role") == "user"), "")


def since_question(messages: Sequence[Message]) -> Sequence[Message]:
    """Return the messages after the newest user's."""
    newest = max((place for place, message in enumerate(messages) if message.get("role") == "user"), default=-1)
    return messages[newest + 1 :]
