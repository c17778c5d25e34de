"""The output items of a model's message."""

import uuid
from typing import Any

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    InvalidToolCall,
    ToolCall,
    ToolCallChunk,
    message_chunk_to_message,
)

from turnstile.memory.calls import calls_of
from turnstile.memory.element import call_item, reasoning_text
from turnstile.turns.output import Output, reasoned, refused, said
from turnstile.turns.text import dumps, loads, whole

CUT_OFF = ("length", "content_filter")
"""Reasons to finish with which a model has not said all."""
MOST_LOGPROBS_BYTES = 4_194_304
"""Of one answer's probabilities of tokens, as JSON; larger ones are not kept."""
_MOST_ID = 200
"""Characters in a call's id; an answer to a longer one is refused."""


def items_of(message: AIMessage, refusal: bool = False) -> Output:
    """Return what a message says, in order: reasoning, text, and calls, all of which are the client's.

    The probabilities of tokens, which a history has no use for, move from the message to its text.
    """
    text = whole(str(message.text))
    calls = tuple(map(call_item, calls_of(message)))
    spoken = (refused if refusal else said)(text) if text or not calls else ()
    if (logprobs := _take_logprobs(message)) and spoken:
        spoken[0]["content"][0]["logprobs"] = logprobs
    reasoning = whole(reasoning_text(message.content, message.additional_kwargs))
    return (*([reasoned(reasoning)] if reasoning else ()), *spoken, *calls)


def _take_logprobs(message: AIMessage) -> list[Any]:
    found = message.response_metadata.pop("logprobs", None)
    tokens = found.get("content") if isinstance(found, dict) else None
    return tokens if isinstance(tokens, list) and len(dumps(tokens)) <= MOST_LOGPROBS_BYTES else []


def whole_message(chunk: AIMessageChunk) -> AIMessage:
    """Return the message of merged chunks.

    LangChain repairs arguments that broke off: a tool would be called with other ones than the model was about to write.
    """
    message = message_chunk_to_message(chunk)
    assert isinstance(message, AIMessage)
    sound: list[ToolCallChunk] = []
    broken: list[ToolCallChunk] = []
    for call in chunk.tool_call_chunks:
        (sound if _is_object(call["args"] or "{}") else broken).append(call)
    if broken:
        message.tool_calls = [
            ToolCall(type="tool_call", name=call["name"] or "", args=loads(call["args"] or "{}"), id=call["id"])
            for call in sound
        ]
        message.invalid_tool_calls = [
            InvalidToolCall(type="invalid_tool_call", name=call["name"], args=call["args"], id=call["id"], error=None)
            for call in broken
        ]
    return message


def _is_object(text: str) -> bool:
    try:
        return isinstance(loads(text), dict)
    except ValueError:
        return False


def finish_reason(message: AIMessage) -> str | None:
    """Return why the model ended its message, in its server's words."""
    about = message.response_metadata
    reason = about.get("finish_reason") or about.get("stop_reason")
    return reason if isinstance(reason, str) else None


def name_calls(message: AIMessage) -> None:
    """Give each call an id of its own: some servers send none, or the tool's name for each call of it."""
    seen: set[str] = set()
    for call in calls_of(message):
        if not call["id"] or len(call["id"]) > _MOST_ID or call["id"] in seen:
            call["id"] = f"call_{uuid.uuid4().hex}"
        seen.add(call["id"])


def drop_calls(message: AIMessage) -> None:
    """Forget the calls of a message that was cut off: nobody can answer half a call."""
    message.tool_calls, message.invalid_tool_calls = [], []
