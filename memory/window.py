"""The part of a history that goes into a prompt."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from turnstile.memory.codec import decode


@dataclass(frozen=True, slots=True)
class Window:
    """Messages, oldest first, and how many elements were passed over because they hold no message."""

    messages: list[BaseMessage]
    broken: int


def fit(elements: Sequence[bytes | str], max_messages: int, max_tokens: int = 0) -> Window:
    """The newest messages that fit, oldest first, in a form that a model's server accepts.

    Args:
        elements: the history's elements, newest first; `max_messages` of them are enough.
        max_messages: most elements to look at.
        max_tokens: most tokens, as counted when stored; 0 is no limit.

    Where older messages were left out, the window starts on a human message; a whole history may open with a greeting
    from the model. A call of a tool stays only together with all its results, and a result only with its call. System
    messages stay where they stand, as in langchain's `trim_messages(include_system=True)`, also before the first human
    message; one that is older than the window is gone, so lasting instructions belong in the chain's prompt.
    """
    newest: list[BaseMessage] = []
    broken = tokens = 0
    cut = len(elements) >= max_messages
    for element in islice(elements, max(0, max_messages)):
        stored = decode(element)
        if stored is None:
            broken += 1
            continue
        tokens += stored.tokens
        if max_tokens and tokens > max_tokens:
            cut = True
            break
        newest.append(stored.message)
    messages = newest[::-1]
    return Window(list(_whole_calls(_from_human(messages) if cut else messages)), broken)


def _from_human(messages: list[BaseMessage]) -> list[BaseMessage]:
    """The messages from the first human one on, and the system messages before it."""
    opening = list(takewhile(lambda message: not isinstance(message, HumanMessage), messages))
    return [message for message in opening if isinstance(message, SystemMessage)] + messages[len(opening) :]


def _whole_calls(messages: list[BaseMessage]) -> Iterator[BaseMessage]:
    """The messages without calls that lack a result, and without results that lack their call."""
    if not any(isinstance(message, ToolMessage) or _calls(message) for message in messages):
        yield from messages
        return
    groups: list[tuple[BaseMessage, dict[str | None, BaseMessage]]] = []
    for message in messages:
        if not isinstance(message, ToolMessage):
            groups.append((message, {}))
        elif groups:
            groups[-1][1][message.tool_call_id] = message
    for message, results in groups:
        calls = _calls(message)
        if calls <= results.keys():
            yield message
            yield from [result for call, result in results.items() if call in calls]


def _calls(message: BaseMessage) -> set[str | None]:
    """Ids of the calls that go out with a message; servers want a result for one that did not parse, too."""
    if not isinstance(message, AIMessage) or not (message.tool_calls or message.invalid_tool_calls):
        return set()
    return {call["id"] for call in (*message.tool_calls, *message.invalid_tool_calls)}
