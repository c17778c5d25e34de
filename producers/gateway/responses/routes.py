"""/v1/responses: a response is a turn."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse, Response

from turnstile.producers.gateway import sse
from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.dependencies import (
    CurrentBackend,
    IdempotencyKey,
    Include,
    OwnResponse,
    StoredResponse,
)
from turnstile.producers.gateway.edge.api_errors import invalid, unsupported
from turnstile.producers.gateway.edge.body import BodyRoute
from turnstile.producers.gateway.edge.caller import Caller, CurrentCaller
from turnstile.producers.gateway.edge.documentation import documented
from turnstile.producers.gateway.edge.open_streams import open_stream
from turnstile.producers.gateway.edge.request_log import note_turn
from turnstile.producers.gateway.failure import failure
from turnstile.producers.gateway.paging import Limit, Order, cut
from turnstile.producers.gateway.records import as_shown
from turnstile.producers.gateway.repeats import repeat_key
from turnstile.producers.gateway.responses import rendering
from turnstile.producers.gateway.responses.compaction import compacted, summary_request
from turnstile.producers.gateway.responses.input_items import input_items as shown_input
from turnstile.producers.gateway.responses.response_events import stream
from turnstile.producers.gateway.responses.schemas import (
    CompactionObject,
    CompactRequest,
    InputTokensObject,
    InputTokensRequest,
    ResponseObject,
    ResponseRequest,
)
from turnstile.producers.gateway.responses.submission import submit
from turnstile.producers.gateway.responses.token_count import count_tokens
from turnstile.producers.gateway.schemas import Deleted, ItemList
from turnstile.turns.errors import TurnNotEnded, UnknownTurn
from turnstile.turns.states import State
from turnstile.turns.turn import TurnResult

router = APIRouter(prefix="/v1/responses", tags=["Responses"], route_class=BodyRoute)

_STREAMED = {"text/event-stream": {"schema": {"type": "string", "description": "The contract's events, numbered from 0."}}}
_ANSWERS: dict[str, Any] = {"model": ResponseObject, "content": _STREAMED}


def _shown(backend: Backend, caller: Caller, record: TurnResult) -> dict[str, Any]:
    return rendering.response(record, caller.name(record.session), backend.settings.models[0])


@router.post("", responses=documented(_ANSWERS, 404, 409, 413, 415, 422, 502, 504), response_class=JSONResponse)
async def create(
    request: Request,
    body: ResponseRequest,
    backend: CurrentBackend,
    caller: CurrentCaller,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Ask. Without `background` the call waits for the answer, and is cancelled if the client disconnects.

    With `background` and `metadata.turnstile_not_before`, a time, the response is `queued` until then, and asked then.
    """
    if body.stream:
        await open_stream(request.scope, backend.store, caller)
    key = await repeat_key(request, backend, caller, "response", body.metadata, idempotency_key)
    record = await backend.store.result(await submit(backend, caller, body, key, request.receive))
    note_turn(record.id)
    keyed = key is not None
    if body.stream:
        events = stream(backend, record, caller.name(record.session), None, created=True)
        return sse.EventStream(events) if body.background else sse.EventStream(events, backend.waiting(record.id, keyed))
    if not body.background and not record.ended:
        record = await backend.outcome(record.id, keyed, request.receive)
    if not body.background and record.ended and not as_shown(record).state.answered:
        raise failure(record)
    return JSONResponse(_shown(backend, caller, record))


_COMPACTION: dict[str, Any] = {"model": CompactionObject}
_TOKENS: dict[str, Any] = {"model": InputTokensObject}


@router.post("/compact", responses=documented(_COMPACTION, 404, 409, 413, 415, 422, 502, 504), response_class=JSONResponse)
async def compact(
    request: Request,
    body: CompactRequest,
    backend: CurrentBackend,
    caller: CurrentCaller,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Have the model sum a conversation up, in an item that stands for it in the input of later requests."""
    key = await repeat_key(request, backend, caller, "response", body.metadata, idempotency_key)
    record = await backend.store.result(await submit(backend, caller, summary_request(body), key, request.receive))
    note_turn(record.id)
    if not record.ended:
        record = await backend.outcome(record.id, key is not None, request.receive)
    return JSONResponse(await compacted(backend, record))


@router.post("/input_tokens", responses=documented(_TOKENS, 404, 413, 415), response_class=JSONResponse)
async def input_tokens(body: InputTokensRequest, backend: CurrentBackend, caller: CurrentCaller) -> Response:
    """Estimate the tokens of a request's prompt, without asking the model."""
    return JSONResponse({"object": "response.input_tokens", "input_tokens": await count_tokens(backend, caller, body)})


@router.get("/{response_id}", responses=documented(_ANSWERS, 404), response_class=JSONResponse)
async def retrieve(
    request: Request,
    response: StoredResponse,
    backend: CurrentBackend,
    caller: CurrentCaller,
    stream_: Annotated[bool, Query(alias="stream")] = False,
    starting_after: Annotated[int | None, Query(ge=0, description="Only events after this sequence number.")] = None,
    include_obfuscation: Annotated[bool | None, Query(description="Only `false` is supported.")] = None,
    include: Include = None,  # noqa: ARG001  # the SDKs' parameter
    steps: Annotated[bool, Query(description="Tell a graph's steps, too, in events of the type `turnstile.step`.")] = False,
    last_event_id: Annotated[str | None, Header(description="As `starting_after`, from an EventSource.")] = None,
) -> Response:
    """Return the response as it is, or, with `stream`, all its events, also if it was created without `stream`.

    An EventSource whose last event was the last one is told to ask no more (204).
    """
    if include_obfuscation:
        raise unsupported("include_obfuscation")
    record = await response(backend.store.result)
    if not stream_:
        return JSONResponse(_shown(backend, caller, record))
    resumed = starting_after is None and last_event_id is not None and last_event_id.isdecimal()
    if resumed:
        starting_after = int(str(last_event_id)[:18])
    if starting_after is not None and record.ended and not await backend.store.events(record.id, 0, 1):
        message = "The events of this response have expired; retrieve it without `starting_after`."
        raise invalid("starting_after", message, "stream_expired")
    await open_stream(request.scope, backend.store, caller)
    events = stream(backend, record, caller.name(record.session), starting_after, steps=steps)
    if resumed and record.ended:
        return await sse.rest(events)
    return sse.EventStream(events)


@router.post("/{response_id}/cancel", responses=documented(_ANSWERS, 404), response_class=JSONResponse)
async def cancel(response: StoredResponse, backend: CurrentBackend, caller: CurrentCaller) -> Response:
    """Cancel a response, unless it has ended, and return it. One that was to be asked later is forgotten, too."""
    record = await response(backend.store.result)
    await backend.store.cancel(record.id)
    try:
        record = await backend.store.result(record.id)
    except UnknownTurn:
        if record.not_before is None:
            raise
        record = replace(record, state=State.CANCELLED)
    return JSONResponse(_shown(backend, caller, record))


@router.delete("/{response_id}", responses=documented({"model": Deleted}, 404, 409), response_class=JSONResponse)
async def delete(response: OwnResponse, backend: CurrentBackend) -> Response:
    """Delete a response, and cancel it if it has not ended; open calls are closed. What it added to its conversation stays."""
    record = await response(backend.store.outline)
    await backend.store.cancel(record.id)
    try:
        await backend.store.delete_turn(record.id)
    except TurnNotEnded:
        if not record.held:
            raise
        await backend.store.release_session(record.session)
        await backend.store.delete_turn(record.id)
    return JSONResponse({"id": record.id, "object": "response", "deleted": True})


@router.get("/{response_id}/input_items", responses=documented({"model": ItemList}, 404), response_class=JSONResponse)
async def input_items(
    response: StoredResponse,
    backend: CurrentBackend,
    after: str | None = None,
    limit: Limit = 20,
    order: Order = "desc",
    include: Include = None,  # noqa: ARG001  # the SDKs' parameter
) -> Response:
    """List the input items of a response."""
    return JSONResponse(cut(shown_input(await response(backend.store.status)), after, limit, order))
