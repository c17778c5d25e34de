"""/v1/batches: the requests of an uploaded file, answered in the background."""

import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from turnstile.producers.gateway.batches.retries import retried
from turnstile.producers.gateway.batches.schemas import WINDOW_SECONDS, BatchCreation, BatchList, BatchObject, shown
from turnstile.producers.gateway.dependencies import CurrentBackend, IdempotencyKey
from turnstile.producers.gateway.edge.body import BodyRoute
from turnstile.producers.gateway.edge.caller import CurrentCaller
from turnstile.producers.gateway.edge.documentation import documented
from turnstile.producers.gateway.paging import Limit, page_of
from turnstile.producers.gateway.repeats import repeat_key
from turnstile.turns.errors import UnknownBatch
from turnstile.turns.store.batches import Batch, unknown_batch
from turnstile.turns.text import dumps

router = APIRouter(prefix="/v1/batches", tags=["Batches"], route_class=BodyRoute)


async def own_batch(batch_id: str, backend: CurrentBackend, caller: CurrentCaller) -> Batch:
    """Return the caller's batch in the path. Raises UnknownBatch."""
    batch = await backend.store.read_batch(batch_id)
    if batch.tenant != caller.tenant:
        raise unknown_batch(batch_id)
    return batch


OwnBatch = Annotated[Batch, Depends(own_batch)]


@router.post("", responses=documented({"model": BatchObject}, 404, 413, 415), response_class=JSONResponse)
async def create(
    request: Request,
    body: BatchCreation,
    backend: CurrentBackend,
    caller: CurrentCaller,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Begin a batch over an uploaded file: JSON lines with `custom_id`, `method`, `url` and `body`."""
    key = await repeat_key(request, backend, caller, "batch", None, idempotency_key)
    id = f"batch_{caller.key('batch', key)}"
    asked = dumps(body.model_dump(mode="json"))
    key_facts = {"api_key": caller.api_key, "weight": caller.weight}
    retries = retried(await own_batch(body.retry_of, backend, caller), body) if body.retry_of else []
    facts = dumps({"endpoint": body.endpoint, "metadata": body.metadata or {}, "retries": retries, **key_facts})
    fingerprint = hashlib.sha256(asked.encode()).hexdigest()[:32]
    await backend.store.create_batch(caller.tenant, id, body.input_file_id, facts, fingerprint, WINDOW_SECONDS)
    return JSONResponse(shown(await backend.store.read_batch(id)))


@router.get("", responses=documented({"model": BatchList}, 404), response_class=JSONResponse)
async def batches(backend: CurrentBackend, caller: CurrentCaller, after: str | None = None, limit: Limit = 20) -> Response:
    """List the batches, newest first."""

    async def find(id: str) -> dict[str, Any] | None:
        try:
            return shown(await backend.store.read_batch(id))
        except UnknownBatch:
            return None

    return JSONResponse(await page_of(await backend.store.list_batches(caller.tenant), find, after, limit))


@router.get("/{batch_id}", responses=documented({"model": BatchObject}, 404), response_class=JSONResponse)
async def retrieve(batch: OwnBatch) -> Response:
    """Return a batch with its counts."""
    return JSONResponse(shown(batch))


@router.post("/{batch_id}/cancel", responses=documented({"model": BatchObject}, 404), response_class=JSONResponse)
async def cancel(batch: OwnBatch, backend: CurrentBackend, caller: CurrentCaller) -> Response:
    """Cancel what is left of a batch. Its status is `cancelling` until its running turns have stopped."""
    await backend.store.cancel_batch(caller.tenant, batch.id)
    return JSONResponse(shown(await backend.store.read_batch(batch.id)))
