"""A turn's record as a chat completion."""

from collections.abc import Iterator
from typing import Any

from turnstile.memory.element import REASONING
from turnstile.producers.gateway.chat.schemas import OLD_CALLS
from turnstile.producers.gateway.edge.caller import RESPONSE
from turnstile.producers.gateway.records import CONTENT_FILTER, token_usage
from turnstile.turns.output import call_name, open_calls, parts_of, reasoning_of
from turnstile.turns.states import State
from turnstile.turns.turn import TurnResult


def completion(record: TurnResult, model: str) -> dict[str, Any]:
    """Return an answered turn as a chat completion."""
    said: dict[str, Any] = {"role": "assistant", "content": record.answer or "", "refusal": None, "annotations": []}
    if record.refused:
        said |= {"content": None, "refusal": record.answer}
    if reasoning := reasoning_of(record.output):
        said[REASONING] = reasoning
    if calls := tool_calls(record):
        said |= {"content": record.answer or None, **_called(record, calls)}
    choice = {"index": 0, "message": said, "logprobs": logprobs(record), "finish_reason": finish_reason(record)}
    return {
        **completion_head(record, model, "chat.completion"),
        "choices": [choice],
        "usage": chat_usage(record),
    }


def completion_head(record: TurnResult, model: str, kind: str) -> dict[str, Any]:
    """Return the fields that a chat completion and all its chunks begin with."""
    return {
        "id": f"chatcmpl-{record.id.removeprefix(RESPONSE)}",
        "object": kind,
        "created": int(record.created),
        "model": record.options.chain or record.model or record.options.model or model,
        "service_tier": "default",
        "system_fingerprint": None,
    }


def logprobs(record: TurnResult) -> dict[str, Any] | None:
    """Return the probabilities of the answer's tokens; None where the turn did not ask for them."""
    tokens = [token for part in parts_of(record.output) for token in part.get("logprobs", ())]
    return {"content": tokens, "refusal": None} if tokens else None


def tool_calls(record: TurnResult) -> list[dict[str, Any]]:
    """Return the calls that the client has to answer; one that waits for an approval is shown as the call that it is about."""
    return [
        {"id": call_name(call), "type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}}
        for call in open_calls(record.output)
    ]


def _called(record: TurnResult, calls: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the calls as fields of a message, in the form in which the request gave the tools."""
    return {"function_call": calls[0]["function"]} if OLD_CALLS in record.options.request else {"tool_calls": calls}


def call_deltas(record: TurnResult) -> Iterator[dict[str, Any]]:
    """Yield the deltas of the calls: each call's beginning, and its arguments."""
    for index, call in enumerate(tool_calls(record)):
        function = call["function"]
        begun, rest = {**call, "function": {**function, "arguments": ""}}, {"arguments": function["arguments"]}
        if OLD_CALLS in record.options.request:
            yield from ({"function_call": begun["function"]}, {"function_call": rest})
            return
        yield from ({"tool_calls": [{"index": index, **begun}]}, {"tool_calls": [{"index": index, "function": rest}]})


def finish_reason(record: TurnResult) -> str:
    """Return the reason for the end of an answer, in the words of chat completions."""
    if record.code == CONTENT_FILTER:
        return CONTENT_FILTER
    if open_calls(record.output):
        return "function_call" if OLD_CALLS in record.options.request else "tool_calls"
    return "length" if record.state is State.INCOMPLETE else "stop"


def chat_usage(record: TurnResult) -> dict[str, Any]:
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
