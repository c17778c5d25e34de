"""/healthz: the process answers; /readyz: it can work."""

import asyncio

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from turnstile.producers.gateway.dependencies import CurrentBackend
from turnstile.producers.gateway.edge.api_errors import ApiError
from turnstile.producers.gateway.edge.documentation import documented
from turnstile.producers.gateway.probes.schemas import Health
from turnstile.turns.errors import QueueUnreachable
from turnstile.turns.keyring import keyring

router = APIRouter(tags=["Health"])

_PING_SECONDS = 2.0


@router.get("/healthz", responses={200: {"model": Health}}, response_class=JSONResponse)
async def alive() -> Response:
    """Answer, as sign of a live process."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz", responses=documented({"model": Health}), response_class=JSONResponse)
async def ready(backend: CurrentBackend) -> Response:
    """Check that Redis answers, that the workers have the same settings, and that the file of API keys can be read."""
    if keyring(backend.settings).problem:
        raise ApiError(503, "The file of API keys cannot be read; the gateway's log names the reason.", None, "keys_unreadable")
    try:
        async with asyncio.timeout(_PING_SECONDS):
            await backend.store.stats()
    except TimeoutError:
        raise QueueUnreachable("Redis does not answer.") from None
    return JSONResponse({"status": "ok"})
