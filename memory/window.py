"""The part of a history that goes into a prompt."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, takewhile

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage, ToolMessage

from turnstile.memory.calls import paired
from turnstile.memory.codec import decode


@dataclass(frozen=True, slots=True)
class Window:
    """Messages, oldest first, and how many elements were passed over because they hold no message."""

    messages: list[BaseMessage]
    broken: int


def fit(
    elements: Sequence[bytes | str],
    max_messages: int,
    max_tokens: int = 0,
    following: Sequence[BaseMessage] = (),
    *,
    cut: bool = False,
) -> Window:
    """Return the newest messages that fit and those that follow, oldest first, in a form that a model's server accepts.

    Args:
        elements: the history's elements, newest first; `max_messages` of them are enough.
        max_messages: most elements to look at.
        max_tokens: most tokens, as counted when stored; 0 is no limit.
        following: messages behind the history. Where they begin with answers to its last calls, its last exchange, from
            the human message on, is there whole, limits or not.
        cut: older messages than these elements were left out, whatever their number.

    Where older messages were left out, the window starts on a human message; a whole history may open with a greeting
    from the model. Calls and answers are paired as in `turnstile.memory.calls`. System messages stay where they stand, as in
    langchain's `trim_messages(include_system=True)`, also before the first human message; one that is older than the window
    is gone, unless `opening` finds it.
    """
    newest: list[BaseMessage] = []
    broken = tokens = 0
    cut = cut or len(elements) >= max_messages
    goes_on = bool(following) and isinstance(following[0], ToolMessage)
    for place, element in enumerate(islice(elements, None if goes_on else max(0, max_messages))):
        if place >= max_messages and not goes_on:
            break
        stored = decode(element)
        if stored is None:
            broken += 1
            continue
        tokens += stored.tokens
        if max_tokens and tokens > max_tokens and not goes_on:
            cut = True
            break
        newest.append(stored.message)
        goes_on = goes_on and not isinstance(stored.message, HumanMessage)
    messages = newest[::-1]
    return Window(paired([*(_from_human(messages) if cut and not goes_on else messages), *following]), broken)


def opening(elements: Sequence[bytes | str]) -> list[BaseMessage]:
    """Return the system messages that a history begins with, oldest first, among elements that are newest first."""
    found: list[BaseMessage] = []
    for element in reversed(elements):
        stored = decode(element)
        if stored is None or not isinstance(stored.message, SystemMessage):
            break
        found.append(stored.message)
    return found


def _from_human(messages: list[BaseMessage]) -> list[BaseMessage]:
    """Return the messages from the first human one on, and the system messages before it."""
    opening = list(takewhile(lambda message: not isinstance(message, HumanMessage), messages))
    return [message for message in opening if isinstance(message, SystemMessage)] + messages[len(opening) :]
