"""Messages of a request for a chat completion, checked, as turns keep them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from turnstile.memory.element import REASONING
from turnstile.producers.gateway.content import CHAT_PARTS, Message, read_content, text_at
from turnstile.producers.gateway.edge.api_errors import invalid, unsupported
from turnstile.producers.gateway.schemas import MOST_NAMED
from turnstile.turns.bounds import check_messages
from turnstile.turns.ids import shown

_REASONING = (REASONING, "reasoning")
"""The fields in which clients give a model's reasoning back."""


def read_messages(messages: Sequence[Mapping[str, Any]]) -> list[Message]:
    """Return the messages of a request. Raises ApiError, InvalidTurn."""
    check_messages(messages, "messages")
    return [_read(message, f"messages[{n}]") for n, message in enumerate(_modern(messages))]


def check_calls(messages: Sequence[Message]) -> None:
    """Raise ApiError, in OpenAI's words, for a call without an answer and for an answer without a call."""
    asked: dict[str, bool] = {}
    for n, message in enumerate(messages):
        asked |= {call["id"]: False for call in message.get("tool_calls", ())}
        if message["role"] != "tool":
            continue
        if message["tool_call_id"] not in asked:
            told = "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
            raise invalid(f"messages[{n}].role", f"Invalid parameter: {told}")
        asked[message["tool_call_id"]] = True
    if missing := [call for call, answered in asked.items() if not answered]:
        told = "must be followed by tool messages responding to each 'tool_call_id'. "
        told += f"The following tool_call_ids did not have response messages: {', '.join(map(shown, missing[:MOST_NAMED]))}"
        raise invalid("messages", f"An assistant message with 'tool_calls' {told}")


def _modern(messages: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield messages with a call of the older form (`function_call`) as one of today's, and so its answer."""
    called = ""
    for n, message in enumerate(messages):
        if message.get("function_call"):
            called = f"call_{n}"
            more = {name: value for name, value in message.items() if name != "function_call"}
            yield {**more, "tool_calls": [{"id": called, "type": "function", "function": message["function_call"]}]}
        elif message.get("role") == "function":
            yield {"role": "tool", "tool_call_id": called or "none", "content": message.get("content")}
        else:
            yield message


def _read(message: Mapping[str, Any], param: str) -> Message:
    role = message.get("role")
    if not isinstance(role, str) or role not in _READERS:
        raise invalid(f"{param}.role", f"`{param}.role` must be one of {', '.join(_READERS)}.", "invalid_value")
    read = {"role": role, **_READERS[role](message, param)}
    if role != "user" and not isinstance(read["content"], str):
        raise invalid(f"{param}.content", f"`{param}.content`: a message of the role `{role}` is text.", "invalid_value")
    return {**read, "name": text_at(message, "name", param)} if message.get("name") is not None else read


def _read_spoken(message: Mapping[str, Any], param: str) -> Message:
    if message.get("tool_calls"):
        raise invalid(f"{param}.tool_calls", f"`{param}.tool_calls`: only the assistant calls tools.", "invalid_value")
    return {"content": read_content(message.get("content"), f"{param}.content", CHAT_PARTS)}


def _read_answer(message: Mapping[str, Any], param: str) -> Message:
    content = message.get("content")
    said = "" if content in (None, []) else read_content(content, f"{param}.content", CHAT_PARTS)
    return {"content": said, "tool_call_id": text_at(message, "tool_call_id", param)}


def _read_assistant(message: Mapping[str, Any], param: str) -> Message:
    if message.get("audio"):
        raise unsupported(f"{param}.audio")
    read: Message = {"content": _said(message, param)}
    if message.get("tool_calls"):
        read["tool_calls"] = _read_calls(message["tool_calls"], f"{param}.tool_calls")
    for name in _REASONING:
        if message.get(name):
            read[REASONING] = text_at(message, name, param)
            break
    return read


def _said(message: Mapping[str, Any], param: str) -> Any:
    content = message.get("content")
    if content in (None, "", []):
        return text_at(message, "refusal", param) if message.get("refusal") else ""
    return read_content(content, f"{param}.content", CHAT_PARTS)


def _read_calls(calls: Any, param: str) -> list[Message]:
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        raise invalid(param, f"`{param}` must be a list of calls.", "invalid_value")
    return [_read_call(call, f"{param}[{n}]") for n, call in enumerate(calls)]


def _read_call(call: Mapping[str, Any], param: str) -> Message:
    function = call.get("function")
    if call.get("type", "function") != "function" or not isinstance(function, dict):
        raise invalid(f"{param}.type", f"`{param}` must be the call of a function.", "unsupported_value")
    if not isinstance(function.get("arguments"), str):
        raise invalid(f"{param}.function.arguments", f"`{param}.function.arguments` must be a text.", "invalid_value")
    told = {"name": text_at(function, "name", f"{param}.function"), "arguments": function["arguments"]}
    return {"id": text_at(call, "id", param), "type": "function", "function": told}


_READERS: dict[str, Callable[[Mapping[str, Any], str], Message]] = {
    "user": _read_spoken,
    "assistant": _read_assistant,
    "system": _read_spoken,
    "developer": _read_spoken,
    "tool": _read_answer,
}
