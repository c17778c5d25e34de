"""A turn's record as a response, and as a chat completion."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from turnstile.producers.gateway.content import output_text, refusal, shown_item
from turnstile.producers.gateway.edge.caller import CONVERSATION, RESPONSE
from turnstile.turns.states import State
from turnstile.turns.turn import REFUSAL, Record

POSITION = "turnstile_position"
"""In the metadata of a response that waits: how many turns of its conversation come before it."""

_STATUS = {State.RUNNING: "in_progress"}
_CODES = {
    "rate_limited": "rate_limit_exceeded",
    "invalid_request": "invalid_prompt",
    "context_too_long": "invalid_prompt",
}
_FILTERED = "content_filter"
_ITEM_ID = re.compile(r"msg_(?P<turn>.+?)(?:_[ia]\d+)?")


def input_id(turn: str, place: int) -> str:
    """Id of the message at `place` among those that a turn brings to its conversation."""
    return f"msg_{turn.removeprefix(RESPONSE)}_i{place}"


def output_id(turn: str, attempt: int) -> str:
    """Id of the answer that an attempt wrote."""
    return f"msg_{turn.removeprefix(RESPONSE)}" + (f"_a{attempt}" if attempt > 1 else "")


def turn_part(item: str) -> str | None:
    """What stands for the turn in the id of an item; None for one that is no item's id."""
    found = _ITEM_ID.fullmatch(item)
    return found["turn"] if found else None


def as_told(record: Record) -> Record:
    """The record in the API's words: what a content filter stopped has not failed, it is incomplete."""
    filtered = record.state is State.FAILED and record.code == _FILTERED
    return replace(record, state=State.INCOMPLETE) if filtered else record


def response(record: Record, session: str, model: str) -> dict[str, Any]:
    """A response as it is now. `session` is the caller's name for it, `model` the one that answers by default."""
    record = as_told(record)
    place = record.place if record.state is State.QUEUED else None
    body = snapshot(record, session, model, _STATUS.get(record.state, record.state.value), place)
    body["model"] = record.model or body["model"]
    body["output"] = _output(record)
    body["completed_at"] = record.finished if record.state is State.COMPLETED else None
    body["usage"] = _usage(record.usage)
    if record.state is State.INCOMPLETE:
        body["incomplete_details"] = {"reason": _FILTERED if record.code == _FILTERED else "max_output_tokens"}
    if record.state is State.FAILED:
        code = record.code or "internal"
        body["error"] = {"code": _CODES.get(code, "server_error"), "message": record.message or "", "type": code, "param": None}
    return body


def snapshot(record: Record, session: str, model: str, status: str, place: int | None = None) -> dict[str, Any]:
    """A response without what it does not have from the beginning; `place` while it waits."""
    options, asked = record.options, record.options.request
    metadata = dict(options.metadata) | ({} if place is None else {POSITION: str(place)})
    return {
        "id": record.id,
        "object": "response",
        "created_at": int(record.created),
        "status": status,
        "background": bool(asked.get("background")),
        "completed_at": None,
        "conversation": {"id": session} if options.store or session != _own(record.id) else None,
        "error": None,
        "incomplete_details": None,
        "instructions": options.instructions,
        "max_output_tokens": options.max_output_tokens,
        "max_tool_calls": None,
        "metadata": metadata,
        "model": options.model or model,
        "output": [],
        "parallel_tool_calls": asked.get("parallel_tool_calls", True),
        "previous_response_id": asked.get("previous_response_id"),
        "prompt_cache_key": asked.get("prompt_cache_key"),
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": asked.get("safety_identifier"),
        "service_tier": "default",
        "store": options.store,
        "temperature": options.temperature,
        "text": {"format": asked.get("text") or {"type": "text"}},
        "tool_choice": asked.get("tool_choice", "auto"),
        "tools": [],
        "top_logprobs": 0,
        "top_p": options.top_p,
        "truncation": asked.get("truncation") or "auto",
        "usage": None,
        "user": asked.get("user"),
    }


def _own(turn: str) -> str:
    """The conversation that the gateway makes for a turn that names none."""
    return CONVERSATION + turn.removeprefix(RESPONSE)


def part(text: str, refused: bool) -> dict[str, Any]:
    """What an answer consists of."""
    return refusal(text) if refused else output_text(text)


def message(record: Record, attempt: int, status: str, *content: dict[str, Any]) -> dict[str, Any]:
    """The answer as an output item."""
    return {
        "id": output_id(record.id, attempt),
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": list(content),
    }


def input_items(record: Record) -> list[dict[str, Any]]:
    """The items that a response was asked with, oldest first."""
    asked = [*record.options.before, {"role": "user", "content": record.question}]
    return [shown_item(input_id(record.id, n), m["role"], m["content"]) for n, m in enumerate(asked)]


def _output(record: Record) -> list[dict[str, Any]]:
    if not record.state.answered or record.answer is None:
        return []
    status = "completed" if record.state is State.COMPLETED else "incomplete"
    return [message(record, record.attempts, status, part(record.answer, record.code == REFUSAL))]


def _usage(usage: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not usage:
        return None
    given, made = usage.get("input_token_details") or {}, usage.get("output_token_details") or {}
    return {
        "input_tokens": usage.get("input_tokens", 0),
        "input_tokens_details": {
            "cached_tokens": given.get("cache_read", 0),
            "cache_write_tokens": given.get("cache_creation", 0),
        },
        "output_tokens": usage.get("output_tokens", 0),
        "output_tokens_details": {"reasoning_tokens": made.get("reasoning", 0)},
        "total_tokens": usage.get("total_tokens", 0),
    }


def completion(record: Record, model: str) -> dict[str, Any]:
    """An answered turn as a chat completion."""
    said: dict[str, Any] = {"role": "assistant", "content": record.answer or "", "refusal": None, "annotations": []}
    if record.code == REFUSAL:
        said |= {"content": None, "refusal": record.answer}
    choice = {"index": 0, "message": said, "logprobs": None, "finish_reason": finish_reason(record)}
    return {
        **completion_head(record, model, "chat.completion"),
        "choices": [choice],
        "usage": chat_usage(record),
    }


def completion_head(record: Record, model: str, kind: str) -> dict[str, Any]:
    """What a chat completion and all its chunks begin with."""
    return {
        "id": f"chatcmpl-{record.id.removeprefix(RESPONSE)}",
        "object": kind,
        "created": int(record.created),
        "model": record.model or record.options.model or model,
        "service_tier": "default",
        "system_fingerprint": None,
    }


def finish_reason(record: Record) -> str:
    """Why an answer ended, in the words of chat completions."""
    if record.code == _FILTERED:
        return _FILTERED
    return "length" if record.state is State.INCOMPLETE else "stop"


def chat_usage(record: Record) -> dict[str, Any]:
    """Counts of tokens, in the words of chat completions."""
    usage = _usage(record.usage) or _usage({"input_tokens": 0})
    assert usage
    return {
        "prompt_tokens": usage["input_tokens"],
        "completion_tokens": usage["output_tokens"],
        "total_tokens": usage["total_tokens"],
        "prompt_tokens_details": {"cached_tokens": usage["input_tokens_details"]["cached_tokens"], "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage["output_tokens_details"]["reasoning_tokens"],
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
