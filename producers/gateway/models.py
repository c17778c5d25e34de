"""/v1/models: what answers when nothing else is asked for."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from turnstile.producers.gateway import schemas
from turnstile.producers.gateway.desk import AtDesk
from turnstile.producers.gateway.edge.caller import Calling
from turnstile.producers.gateway.edge.errors import documented, missing

router = APIRouter(prefix="/v1/models", tags=["Models"])


def _shown(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "turnstile"}


@router.get("", responses=documented({"model": schemas.ModelList}), response_class=JSONResponse)
async def models(desk: AtDesk, _: Calling) -> Response:
    """The model of this deployment; requests may name others that its provider has."""
    return JSONResponse({"object": "list", "data": [_shown(desk.settings.model)]})


@router.get("/{model:path}", responses=documented({"model": schemas.ModelObject}, 404), response_class=JSONResponse)
async def model(model: str, desk: AtDesk, _: Calling) -> Response:
    """One model."""
    if model != desk.settings.model:
        raise missing("model", "Model", model)
    return JSONResponse(_shown(model))
