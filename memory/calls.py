"""Calls of tools and their answers. No history that a model is given holds one without the other."""

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

NO_OUTPUT = "No output was given."
"""The answer to a call that nobody answered."""
TOO_LARGE = "The call was run; its output is too large to be kept."

_RAW_CALLS = ("tool_calls", "function_call")
_CALL_BLOCKS = {"tool_call": "id", "tool_use": "id", "function_call": "call_id", "invalid_tool_call": "id"}


def calls_of(message: BaseMessage) -> list[Any]:
    """Return the calls that go out with a message; servers want an answer to one that did not parse, too."""
    return [*message.tool_calls, *message.invalid_tool_calls] if isinstance(message, AIMessage) else []


def paired(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Return the messages with each call's answer right behind it, without calls and answers that stand alone.

    An assistant's message keeps its text, and those of its calls that were answered. Answers come in the order of their
    calls; of several answers to one the first counts.
    """
    if not any(isinstance(message, ToolMessage) or calls_of(message) for message in messages):
        return list(messages)
    places: list[tuple[BaseMessage, dict[str, ToolMessage]]] = []
    asked: dict[str | None, int] = {}
    for message in messages:
        if isinstance(message, ToolMessage):
            if (place := asked.get(message.tool_call_id)) is not None:
                places[place][1].setdefault(message.tool_call_id, message)
            continue
        asked |= {call["id"]: len(places) for call in calls_of(message)}
        places.append((message, {}))
    kept: list[BaseMessage] = []
    for message, answers in places:
        left = _with_calls(message, answers)
        if left:
            kept += [left, *(answers.pop(call["id"]) for call in calls_of(left) if call["id"] in answers)]
    return kept


def open_calls(messages: Sequence[BaseMessage]) -> list[Any]:
    """Return the calls of the last assistant's message that no message after it answers."""
    answered: set[str] = set()
    for message in reversed(messages):
        if not isinstance(message, ToolMessage):
            return [call for call in calls_of(message) if call["id"] not in answered]
        answered.add(message.tool_call_id)
    return []


def answering(answers: Mapping[str, str]) -> list[BaseMessage]:
    """Return the messages that answer calls; `answers`: call id → output."""
    return [ToolMessage(output, tool_call_id=call) for call, output in answers.items()]


def no_output(call: Any) -> ToolMessage:
    """Return the message that closes a call without an output."""
    return ToolMessage(NO_OUTPUT, tool_call_id=call["id"], name=call["name"], status="error")


def _with_calls(message: BaseMessage, answers: dict[str, ToolMessage]) -> BaseMessage | None:
    """Return the message with its answered calls alone; None if nothing is left of it."""
    if not isinstance(message, AIMessage) or all(call["id"] in answers for call in calls_of(message)):
        return message
    content, more = message.content, message.additional_kwargs
    left = message.model_copy(
        update={
            "content": content if isinstance(content, str) else [one for one in content if not _is_lonely(one, answers)],
            "tool_calls": [call for call in message.tool_calls if call["id"] in answers],
            "invalid_tool_calls": [call for call in message.invalid_tool_calls if call["id"] in answers],
            "additional_kwargs": {name: value for name, value in more.items() if name not in _RAW_CALLS},
        }
    )
    return left if left.text or calls_of(left) else None


def _is_lonely(block: Any, answers: dict[str, ToolMessage]) -> bool:
    name = _CALL_BLOCKS.get(str(block.get("type"))) if isinstance(block, dict) else None
    return name is not None and block.get(name) not in answers
