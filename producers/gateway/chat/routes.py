"""/v1/chat/completions: stateless, or, if a session is named, its next turn."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse, Response

from turnstile.producers.gateway import sse
from turnstile.producers.gateway.chat import rendering
from turnstile.producers.gateway.chat.completion_chunks import stream
from turnstile.producers.gateway.chat.schemas import ChatCompletion, ChatRequest
from turnstile.producers.gateway.chat.submission import submit
from turnstile.producers.gateway.dependencies import CurrentBackend, IdempotencyKey
from turnstile.producers.gateway.edge.body import BodyRoute
from turnstile.producers.gateway.edge.caller import CurrentCaller
from turnstile.producers.gateway.edge.documentation import documented
from turnstile.producers.gateway.edge.open_streams import open_stream
from turnstile.producers.gateway.failure import failure
from turnstile.producers.gateway.records import as_shown
from turnstile.producers.gateway.repeats import repeat_key

router = APIRouter(prefix="/v1/chat/completions", tags=["Chat"], route_class=BodyRoute)

_STREAMED = {"text/event-stream": {"schema": {"type": "string", "description": "Chunks, then `[DONE]`."}}}
_ANSWERS: dict[str, Any] = {"model": ChatCompletion, "content": _STREAMED}


@router.post("", responses=documented(_ANSWERS, 404, 409, 413, 415, 422, 502, 504), response_class=JSONResponse)
async def create(
    request: Request,
    body: ChatRequest,
    backend: CurrentBackend,
    caller: CurrentCaller,
    x_turnstile_session: Annotated[str | None, Header(description="The session whose next turn the last message is.")] = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Answer the last message. The turn is cancelled if the client disconnects."""
    if body.stream:
        await open_stream(request.scope, backend.store, caller)
    key = await repeat_key(request, backend, caller, "chat", body.metadata, idempotency_key)
    record = await submit(backend, caller, body, key, x_turnstile_session)
    keyed = key is not None
    if body.stream:
        usage = bool(body.stream_options and body.stream_options.include_usage)
        return sse.EventStream(stream(backend, record, usage), backend.waiting(record.id, keyed))
    if not record.ended:
        record = await backend.outcome(record.id, keyed, request.receive)
    record = as_shown(record)
    if not record.state.answered:
        raise failure(record)
    return JSONResponse(rendering.completion(record, backend.settings.models[0]))
