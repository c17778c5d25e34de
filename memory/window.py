"""The part of a history that goes into a prompt."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, takewhile

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage, ToolMessage

from turnstile.memory.calls import paired
from turnstile.memory.codec import Stored, decode
from turnstile.turns.window_start import kept


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
    length: int = 0,
    block: float = 0,
    summarised: int = 0,
) -> Window:
    """Return the newest messages that fit and those that follow, oldest first, in a form that a model's server accepts.

    Args:
        elements: the history's elements, newest first; `max_messages` of them are enough.
        max_messages: most elements to look at.
        max_tokens: most tokens, as counted when stored; 0 is no limit.
        following: messages behind the history. Where they begin with answers to its last calls, its last exchange, from
            the human message on, is there whole, limits or not.
        cut: older messages than these elements were left out, whatever their number.
        length: messages in the history; 0 where that is not known, and the window's start does not move in blocks.
        block: the share of the window that is left out at once.
        summarised: the number of messages that a summary covers; the window starts behind them, where all others fit.

    Where older messages were left out, the window starts on a human message; a whole history may open with a greeting
    from the model. Calls and answers are paired as in `turnstile.memory.calls`. System messages stay where they stand, as in
    langchain's `trim_messages(include_system=True)`, also before the first human message; one that is older than the window
    is gone, unless `opening` finds it.
    """
    found: list[Stored | None] = []
    tokens = 0
    cut = cut or len(elements) >= max_messages
    goes_on = bool(following) and isinstance(following[0], ToolMessage)
    for place, element in enumerate(islice(elements, None if goes_on else max(0, max_messages))):
        if place >= max_messages and not goes_on:
            break
        stored = decode(element)
        tokens += stored.tokens if stored else 0
        if max_tokens and tokens > max_tokens and not goes_on:
            cut = True
            break
        found.append(stored)
        goes_on = goes_on and not (stored and isinstance(stored.message, HumanMessage))
    if length and (block or summarised) and not goes_on:
        sizes = [stored.tokens if stored else 0 for stored in found]
        least = _to_human(found)
        if summarised and length - summarised <= len(found):
            found = found[: max(length - summarised, least)]
        elif block:
            found = found[: kept(sizes, length, max_messages, max_tokens, block, least)]
        cut = cut or len(found) < len(sizes)
    messages = [stored.message for stored in reversed(found) if stored]
    broken = sum(stored is None for stored in found)
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


def _to_human(found: Sequence[Stored | None]) -> int:
    """Return how many there are up to the newest human message: without one, a model would know nothing."""
    human = (place for place, stored in enumerate(found, 1) if stored and isinstance(stored.message, HumanMessage))
    return next(human, len(found))


def _from_human(messages: list[BaseMessage]) -> list[BaseMessage]:
    """Return the messages from the first human one on, and the system messages before it."""
    opening = list(takewhile(lambda message: not isinstance(message, HumanMessage), messages))
    return [message for message in opening if isinstance(message, SystemMessage)] + messages[len(opening) :]
