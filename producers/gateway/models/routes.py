"""/v1/models: the default model, and the chains that requests choose as models."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from turnstile.producers.gateway.dependencies import CurrentBackend
from turnstile.producers.gateway.edge.api_errors import missing
from turnstile.producers.gateway.edge.body import BodyRoute
from turnstile.producers.gateway.edge.caller import CurrentCaller
from turnstile.producers.gateway.edge.documentation import documented
from turnstile.producers.gateway.models.schemas import ModelList, ModelObject

router = APIRouter(prefix="/v1/models", tags=["Models"], route_class=BodyRoute)


def _shown(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "turnstile"}


@router.get("", responses=documented({"model": ModelList}), response_class=JSONResponse)
async def models(backend: CurrentBackend, _: CurrentCaller) -> Response:
    """List the model of this deployment, and its chains; requests may name the provider's other models."""
    return JSONResponse(
        {"object": "list", "data": [_shown(name) for name in (backend.settings.model, *await backend.chains())]}
    )


@router.get("/{model:path}", responses=documented({"model": ModelObject}, 404), response_class=JSONResponse)
async def model(model: str, backend: CurrentBackend, _: CurrentCaller) -> Response:
    """Retrieve one model."""
    if model not in (backend.settings.model, *await backend.chains()):
        raise missing("model", "Model", model)
    return JSONResponse(_shown(model))
