"""Messages as callers give them, in the form of OpenAI's chat completions → LangChain's."""

from collections.abc import Iterable, Mapping
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, InvalidToolCall, ToolCall, convert_to_messages

from turnstile.turns.text import loads


def given_messages(messages: Iterable[Mapping[str, Any]]) -> list[BaseMessage]:
    """Return LangChain's messages. A call whose arguments are no JSON object keeps them as they were written.

    Raises:
        Exception: whatever LangChain raises for a message that is none.
    """
    return [_read(message) for message in messages]


def _read(given: Mapping[str, Any]) -> BaseMessage:
    calls = given.get("tool_calls")
    if not isinstance(calls, list) or not all("function" in call for call in calls):
        return convert_to_messages([dict(given)])[0]
    # LangChain refuses a whole message for arguments that did not parse.
    [message] = convert_to_messages([{name: value for name, value in given.items() if name != "tool_calls"}])
    if isinstance(message, AIMessage):
        for call in calls:
            _add_call(message, call)
    return message


def _add_call(message: AIMessage, call: Mapping[str, Any]) -> None:
    id, name, text = call["id"], call["function"]["name"], call["function"]["arguments"]
    arguments = _object(text)
    if arguments is None:
        broken = InvalidToolCall(type="invalid_tool_call", name=name, args=str(text), id=id, error=None)
        message.invalid_tool_calls.append(broken)
    else:
        message.tool_calls.append(ToolCall(type="tool_call", name=name, args=arguments, id=id))


def _object(text: Any) -> dict[str, Any] | None:
    try:
        value = loads(text) if isinstance(text, str) else text
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
