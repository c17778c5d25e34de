"""/v1/embeddings and /v1/moderations: the model's server answers."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.dependencies import CurrentBackend
from turnstile.producers.gateway.disconnect import disconnected, while_connected
from turnstile.producers.gateway.edge.body import NumbersRoute
from turnstile.producers.gateway.edge.caller import Caller, CurrentCaller
from turnstile.producers.gateway.edge.documentation import documented
from turnstile.producers.gateway.model_server.schemas import (
    EmbeddingList,
    EmbeddingRequest,
    ModerationObject,
    ModerationRequest,
)
from turnstile.turns.file_urls import check_urls

router = APIRouter(prefix="/v1", tags=["Model's server"], route_class=NumbersRoute)

_EMBEDDINGS: dict[str, Any] = {"model": EmbeddingList}
_MODERATION: dict[str, Any] = {"model": ModerationObject}


@router.post("/embeddings", responses=documented(_EMBEDDINGS, 413, 415, 502, 504), response_class=JSONResponse)
async def embeddings(request: Request, body: EmbeddingRequest, backend: CurrentBackend, caller: CurrentCaller) -> Response:
    """Have the model's server turn texts into vectors."""
    return await _passed_on(request, body, backend, caller)


@router.post("/moderations", responses=documented(_MODERATION, 413, 415, 502, 504), response_class=JSONResponse)
async def moderations(request: Request, body: ModerationRequest, backend: CurrentBackend, caller: CurrentCaller) -> Response:
    """Have the model's server say whether inputs are harmful. It fetches their pictures, as it does those of questions."""
    check_urls([body.input], backend.settings.file_hosts, "input")
    return await _passed_on(request, body, backend, caller)


async def _passed_on(
    request: Request, body: EmbeddingRequest | ModerationRequest, backend: Backend, caller: Caller
) -> Response:
    content = body.content(strict=backend.settings.strict_parameters)
    for name, given in (body.model_extra or {}).items():
        check_urls([{name: given}], backend.settings.file_hosts, name)
    caller.check_model(body.model)
    asking = backend.model_server.ask(body.path, content, caller, body.model, body.input)
    return Response(await while_connected(asking, disconnected(request.receive)), media_type="application/json")
