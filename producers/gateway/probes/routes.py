"""/healthz: the process answers; /readyz: it can work."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from turnstile.producers.gateway.edge.documentation import documented
from turnstile.producers.gateway.probes.readiness import Readiness
from turnstile.producers.gateway.probes.schemas import Health

router = APIRouter(tags=["Health"])


@router.get("/healthz", responses={200: {"model": Health}}, response_class=JSONResponse)
async def alive() -> Response:
    """Answer, as sign of a live process."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz", responses=documented({"model": Health}), response_class=JSONResponse)
async def ready(request: Request) -> Response:
    """Check that Redis answers, that the workers have the same settings, and that the file of API keys can be read.

    Not ready once the gateway is told to stop.
    """
    readiness: Readiness = request.app.state.readiness
    if problem := await readiness.problem():
        raise problem
    return JSONResponse({"status": "ok"})
