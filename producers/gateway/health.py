"""Whether the gateway is alive, and whether it can work."""

import asyncio

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from turnstile.producers.gateway import schemas
from turnstile.producers.gateway.desk import AtDesk
from turnstile.producers.gateway.edge.errors import documented
from turnstile.turns.errors import QueueUnreachable

router = APIRouter(tags=["Health"])

_PING_SECONDS = 2.0


@router.get("/healthz", responses={200: {"model": schemas.Health}}, response_class=JSONResponse)
async def alive() -> Response:
    """The process answers."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz", responses=documented({"model": schemas.Health}), response_class=JSONResponse)
async def ready(desk: AtDesk) -> Response:
    """Redis answers too, and the workers have the same settings."""
    try:
        async with asyncio.timeout(_PING_SECONDS):
            await desk.store.stats()
    except TimeoutError:
        raise QueueUnreachable("Redis does not answer.") from None
    return JSONResponse({"status": "ok"})
