"""Compaction: a turn in which the model writes down what a conversation has come to; nothing is stored."""

from itertools import takewhile
from typing import Any

from pydantic import ValidationError

from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.edge.api_errors import ApiError, unsupported
from turnstile.producers.gateway.edge.caller import RESPONSE
from turnstile.producers.gateway.edge.error_handlers import wrong_body
from turnstile.producers.gateway.failure import failure
from turnstile.producers.gateway.items.compaction import Compaction, SystemMessage, shown_compaction
from turnstile.producers.gateway.items.history import History
from turnstile.producers.gateway.items.shown import Item
from turnstile.producers.gateway.records import as_shown, token_usage
from turnstile.producers.gateway.responses.input_items import input_items
from turnstile.producers.gateway.responses.schemas import CompactRequest, ResponseRequest
from turnstile.turns.output import is_refusal
from turnstile.turns.states import State
from turnstile.turns.summaries import ASK
from turnstile.turns.turn import Record

_MOST_SYSTEM = 20
_NO_USAGE = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}


def summary_request(body: CompactRequest) -> ResponseRequest:
    """Return the request for the summary. All of the conversation is sent, or it fails. Raises ApiError for a wrong part."""
    if idle := [name for name in body.others() if name in body.idle]:
        raise unsupported(*idle)
    said = [{"role": "user", "content": body.input}] if isinstance(body.input, str) else body.input or []
    asked = {"input": [*said, {"role": "user", "content": ASK}], "store": False, "truncation": "disabled"}
    given = {name: value for name, value in body if value is not None}
    try:
        return ResponseRequest.model_validate({**given, **asked})
    except ValidationError as error:
        raise wrong_body([{**found, "loc": ("body", *found["loc"])} for found in error.errors()]) from None


async def compacted(backend: Backend, record: Record) -> dict[str, Any]:
    """Return the one item that a conversation is compacted to; it keeps system messages as they are. Raises ApiError."""
    left = Compaction(summary=_summary(record), system=await _system_messages(backend, record))
    return {
        "id": record.id,
        "object": "response.compaction",
        "created_at": int(record.created),
        "output": [shown_compaction(f"cmp_{record.id.removeprefix(RESPONSE)}", left)],
        "usage": token_usage(record.usage or _NO_USAGE),
    }


def _summary(record: Record) -> str:
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
