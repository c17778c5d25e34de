"""/metrics: all metrics of the deployment; the edge lets operators alone through."""

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import Response

from turnstile.producers.gateway.edge.api_errors import ApiError
from turnstile.producers.metrics.exposition import CONTENT_TYPE
from turnstile.turns.errors import MissingRight

router = APIRouter(tags=["Health"])


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """Return all metrics of the deployment, of which every gateway tells the same."""
    try:
        text = await asyncio.to_thread(request.app.state.metrics.get)
    except MissingRight as error:
        raise ApiError(503, str(error), None, "missing_right") from None
    return Response(text, media_type=CONTENT_TYPE)
