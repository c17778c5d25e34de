"""A turn's record as a chat completion."""

from typing import Any

from turnstile.producers.gateway.edge.caller import RESPONSE
from turnstile.producers.gateway.records import CONTENT_FILTER, token_usage
from turnstile.turns.states import State
from turnstile.turns.turn import Record


def completion(record: Record, model: str) -> dict[str, Any]:
    """Return an answered turn as a chat completion."""
    said: dict[str, Any] = {"role": "assistant", "content": record.answer or "", "refusal": None, "annotations": []}
    if record.refused:
        said |= {"content": None, "refusal": record.answer}
    choice = {"index": 0, "message": said, "logprobs": None, "finish_reason": finish_reason(record)}
    return {
        **completion_head(record, model, "chat.completion"),
        "choices": [choice],
        "usage": chat_usage(record),
    }


def completion_head(record: Record, model: str, kind: str) -> dict[str, Any]:
    """Return the fields that a chat completion and all its chunks begin with."""
    return {
        "id": f"chatcmpl-{record.id.removeprefix(RESPONSE)}",
        "object": kind,
        "created": int(record.created),
        "model": record.options.chain or record.model or record.options.model or model,
        "service_tier": "default",
        "system_fingerprint": None,
    }


def finish_reason(record: Record) -> str:
    """Return the reason for the end of an answer, in the words of chat completions."""
    if record.code == CONTENT_FILTER:
        return CONTENT_FILTER
    return "length" if record.state is State.INCOMPLETE else "stop"


def chat_usage(record: Record) -> dict[str, Any]:
    """Return counts of tokens in the words of chat completions."""
    usage = token_usage(record.usage) or token_usage({"input_tokens": 0})
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
