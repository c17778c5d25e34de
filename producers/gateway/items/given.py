"""Items of a request, as they were read, and the chat messages that a model is given for them."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from turnstile.memory.element import REASONING
from turnstile.producers.gateway.content import Message, Part, is_text


class Kind(StrEnum):
    """Kinds of items."""

    MESSAGE = "message"
    CALL = "function_call"
    OUTPUT = "function_call_output"
    DECISION = "mcp_approval_response"
    REASONING = "reasoning"
    REFERENCE = "item_reference"


@dataclass(frozen=True, slots=True)
class Given:
    """An item of a request. `call` is the id of the call that it makes or answers."""

    kind: Kind
    param: str
    id: str = ""
    call: str = ""
    body: Any = None
    """A chat message, the call of one, or a text: an output, a decision, the reasoning."""

    @property
    def answers(self) -> bool:
        """True for what answers a call."""
        return self.kind in (Kind.OUTPUT, Kind.DECISION)

    @property
    def shows(self) -> bool:
        """True for the pictures and files of an output, which are a user's message."""
        return self.kind is Kind.MESSAGE and bool(self.call)


def chat_messages(given: Iterable[Given]) -> list[Message]:
    """Return items as chat messages: an assistant's text, reasoning and calls that stand together are one message."""
    messages: list[Message] = []
    shown: list[Message] = []
    thoughts: list[str] = []
    for one in given:
        if one.shows:
            shown.append(one.body)
            continue
        if one.kind is not Kind.OUTPUT:
            # Behind the outputs of all calls, which stand together.
            messages += shown
            shown = []
        _add(messages, one, thoughts)
    for message in messages:
        if REASONING in message:
            message[REASONING] = "".join(message[REASONING])
    return messages + shown


def _add(messages: list[Message], one: Given, thoughts: list[str]) -> None:
    """Add an item. `thoughts`: the reasoning that still waits for the assistant's message."""
    match one.kind:
        case Kind.REASONING:
            thoughts.append(str(one.body))
        case Kind.OUTPUT:
            messages.append({"role": "tool", "tool_call_id": one.call, "content": one.body})
        case Kind.CALL:
            message = _calling(messages)
            message["tool_calls"] = [*message.get("tool_calls", ()), one.body]
            _think(message, thoughts)
        case _:
            messages.append(dict(one.body))
            _think(messages[-1], thoughts)


def _calling(messages: list[Message]) -> Message:
    """Return the assistant's message that the next call belongs to."""
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": ""})
    return messages[-1]


def _think(message: Message, thoughts: list[str]) -> None:
    """Move reasoning into the assistant's message that follows it; a user's message ends it."""
    if thoughts and message["role"] == "assistant":
        message.setdefault(REASONING, []).extend(thoughts)
    thoughts.clear()


def split_question(messages: list[Message]) -> tuple[list[Message], str | list[Part]]:
    """Return the messages before the question, and the question: a user's last message, or nothing."""
    if messages and messages[-1]["role"] == "user" and is_text(messages[-1]):
        return messages[:-1], messages[-1]["content"]
    return messages, ""
