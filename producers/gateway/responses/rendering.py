"""A turn's record as a response."""

from typing import Any

from turnstile.producers.gateway.edge.caller import CONVERSATION, RESPONSE
from turnstile.producers.gateway.records import CONTENT_FILTER, as_shown, token_usage
from turnstile.producers.gateway.responses.output_items import output_items
from turnstile.producers.gateway.responses.tools import shown_tools
from turnstile.turns.policies import INTERRUPTED
from turnstile.turns.states import State
from turnstile.turns.turn import TurnResult

POSITION = "turnstile_position"
"""In the metadata of a queued response: the number of turns of its conversation before it."""

_STATUS = {State.RUNNING: "in_progress"}
_UNFINISHED = {CONTENT_FILTER: CONTENT_FILTER, INTERRUPTED: "steered"}
"""Codes → the reasons for them, in OpenAI's words."""
_CODES = {
    "rate_limited": "rate_limit_exceeded",
    "invalid_request": "invalid_prompt",
    "context_length_exceeded": "invalid_prompt",
}


def response(record: TurnResult, session: str, model: str) -> dict[str, Any]:
    """Return a response as it is now. `session` is the caller's name for its session, `model` the default model."""
    record = as_shown(record)
    place = record.place if record.state is State.QUEUED and record.not_before is None else None
    body = snapshot(record, session, model, _STATUS.get(record.state, record.state.value), place)
    body["model"] = record.model or body["model"]
    body["output"] = output_items(record)
    body["completed_at"] = record.finished if record.state is State.COMPLETED else None
    body["usage"] = token_usage(record.usage)
    if record.state is State.INCOMPLETE:
        body["incomplete_details"] = {"reason": _UNFINISHED.get(record.code or "", "max_output_tokens")}
    if record.state is State.FAILED:
        code = record.code or "internal"
        body["error"] = {"code": _CODES.get(code, "server_error"), "message": record.message or "", "type": code, "param": None}
    return body


def snapshot(record: TurnResult, session: str, model: str, status: str, place: int | None = None) -> dict[str, Any]:
    """Return a response with the fields that it has from the start; `place` while it is queued."""
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
        "max_tool_calls": asked.get("max_tool_calls"),
        "metadata": metadata,
        "model": options.chain or options.model or model,
        "output": [],
        "parallel_tool_calls": asked.get("parallel_tool_calls", True),
        "previous_response_id": asked.get("previous_response_id"),
        "prompt_cache_key": asked.get("prompt_cache_key"),
        "prompt_cache_retention": asked.get("prompt_cache_retention"),
        "reasoning": {"effort": None, "summary": None, **(asked.get("reasoning") or {})},
        "safety_identifier": asked.get("safety_identifier"),
        "service_tier": asked.get("service_tier") or "default",
        "store": options.store,
        "temperature": options.temperature,
        "text": {
            "format": asked.get("text") or _format(options.response_format),
            "verbosity": asked.get("verbosity", "medium"),
        },
        "tool_choice": asked.get("tool_choice", "auto"),
        "tools": shown_tools(options),
        "top_logprobs": asked.get("top_logprobs") or 0,
        "top_p": options.top_p,
        "truncation": record.options.truncation or asked.get("truncation") or "auto",
        "usage": None,
        "user": asked.get("user"),
    }


def _own(turn: str) -> str:
    """Return the conversation that the gateway makes for a turn that names none."""
    return CONVERSATION + turn.removeprefix(RESPONSE)


def _format(wanted: dict[str, Any] | None) -> dict[str, Any]:
    """Return the form of the answer in the words of the Responses API; older records hold it so."""
    if wanted and wanted["type"] == "json_schema":
        return {"type": "json_schema", "description": None, "strict": None, **wanted["json_schema"]}
    return wanted or {"type": "text"}
