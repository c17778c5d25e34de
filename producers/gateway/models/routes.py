"""/v1/models: the models of the default chain, and the chains that requests choose as models."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.dependencies import CurrentBackend
from turnstile.producers.gateway.edge.api_errors import missing
from turnstile.producers.gateway.edge.body import BodyRoute
from turnstile.producers.gateway.edge.caller import Caller, CurrentCaller
from turnstile.producers.gateway.edge.documentation import documented
from turnstile.producers.gateway.models.schemas import ModelList, ModelObject

router = APIRouter(prefix="/v1/models", tags=["Models"], route_class=BodyRoute)


async def _known(backend: Backend, caller: Caller) -> dict[str, dict[str, Any]]:
    """Return the models that a caller may name: this deployment's, its chains, and those that the model's server lists."""
    own = (*backend.settings.models, *await backend.chains())
    theirs = {model["id"]: model for model in await backend.model_server.models()}
    ours = {name: {"id": name, "object": "model", "created": 0, "owned_by": "turnstile"} for name in own}
    found = {**ours, **{name: model for name, model in theirs.items() if name not in ours}}
    return {name: model for name, model in found.items() if caller.may_name(name)}


@router.get("", responses=documented({"model": ModelList}), response_class=JSONResponse)
async def models(backend: CurrentBackend, caller: CurrentCaller) -> Response:
    """List the models that the key may name: those of this deployment, its chains, and what the model's server lists."""
    return JSONResponse({"object": "list", "data": list((await _known(backend, caller)).values())})


@router.get("/{model:path}", responses=documented({"model": ModelObject}, 404), response_class=JSONResponse)
async def model(model: str, backend: CurrentBackend, caller: CurrentCaller) -> Response:
    """Retrieve one model."""
    found = (await _known(backend, caller)).get(model)
    if found is None:
        raise missing("model", "Model", model)
    return JSONResponse(found)
