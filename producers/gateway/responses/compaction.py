"""Compaction: a turn in which the model writes down what a conversation has come to, or a summary that workers keep of it."""

from itertools import takewhile
from typing import Any

from pydantic import ValidationError

from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.edge.api_errors import ApiError, invalid, unsupported
from turnstile.producers.gateway.edge.caller import RESPONSE
from turnstile.producers.gateway.edge.error_handlers import wrong_body
from turnstile.producers.gateway.failure import failure
from turnstile.producers.gateway.items.compaction import Compaction, SystemMessage, shown_compaction
from turnstile.producers.gateway.items.history import History
from turnstile.producers.gateway.items.shown import Item
from turnstile.producers.gateway.records import as_shown, token_usage
from turnstile.producers.gateway.responses.arrival import Arrival
from turnstile.producers.gateway.responses.input_items import input_items
from turnstile.producers.gateway.responses.schemas import CompactRequest, ResponseRequest
from turnstile.producers.gateway.responses.token_count import message_tokens
from turnstile.turns.output import is_refusal
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.summaries import ASK
from turnstile.turns.turn import Record, TurnResult

_MOST_SYSTEM = 20
_NO_USAGE = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}


def check_compaction(settings: Settings, body: ResponseRequest, arrival: Arrival) -> None:
    """Raise ApiError where a request wants to be compacted, and no worker would do it."""
    threshold = body.compact_threshold
    if threshold is None:
        return
    if body.store is not False and not settings.summary and (settings.chain or settings.tools):
        message = "`context_management` is not set up on this server: its operator names a chain in TURNSTILE_SUMMARY."
        raise invalid("context_management", message, "unsupported_parameter")
    stored = arrival.previous is not None or body.conversation_id is not None
    size = 0 if stored else sum(map(message_tokens, arrival.messages))
    if size > threshold:
        message = (
            f"`input` has about {size:,} tokens, more than `compact_threshold`; only what is stored is compacted: send the new "
            "items alone, with `previous_response_id` or `conversation`, or what `/v1/responses/compact` makes of them."
        )
        raise invalid("context_management", message, "context_too_long_to_compact")


def summary_request(body: CompactRequest) -> ResponseRequest:
    """Return the request for the summary. Raises ApiError for a wrong part.

    All of the conversation is sent, the kept summary in the place of what that covers, or the request fails.
    """
    if idle := [name for name in body.others() if name in body.idle]:
        raise unsupported(*idle)
    said = [{"role": "user", "content": body.input}] if isinstance(body.input, str) else body.input or []
    asked: dict[str, Any] = {"input": [*said, {"role": "user", "content": ASK}], "store": False, "truncation": "disabled"}
    asked["context_management"] = [{"type": "compaction"}] if body.previous_response_id is not None else None
    given = {name: value for name, value in body if value is not None}
    try:
        return ResponseRequest.model_validate({**given, **asked})
    except ValidationError as error:
        raise wrong_body([{**found, "loc": ("body", *found["loc"])} for found in error.errors()]) from None


async def compacted(backend: Backend, record: TurnResult) -> dict[str, Any]:
    """Return the one item that a conversation is compacted to; it keeps system messages as they are. Raises ApiError."""
    left = Compaction(summary=_summary(record), system=await _system_messages(backend, await backend.store.status(record.id)))
    return {
        "id": record.id,
        "object": "response.compaction",
        "created_at": int(record.created),
        "output": [shown_compaction(f"cmp_{record.id.removeprefix(RESPONSE)}", left)],
        "usage": token_usage(record.usage or _NO_USAGE),
    }


def _summary(record: TurnResult) -> str:
    if not as_shown(record).state.answered:
        raise failure(record)
    if record.state is not State.COMPLETED or is_refusal(record.output) or not record.text.strip():
        raise ApiError(502, "The model did not write a whole summary; please retry.", None, "no_summary")
    return record.text


async def _system_messages(backend: Backend, record: Record) -> list[SystemMessage]:
    """Return the system messages of the request, after those at the start of the conversation that it names."""
    earlier: list[Item] = []
    if record.options.request.get("previous_response_id"):
        page = await History(backend.store, record.session).page(None, _MOST_SYSTEM, "asc")
        earlier = list(takewhile(_is_system, page["data"]))
    return [
        SystemMessage(role=item["role"], content="\n".join(part["text"] for part in item["content"]))
        for item in (*earlier, *filter(_is_system, input_items(record)))
    ]


def _is_system(item: Item) -> bool:
    return item.get("role") in ("system", "developer")
