"""/v1/files: requests of batches, and their results."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from turnstile.producers.gateway.dependencies import CurrentBackend
from turnstile.producers.gateway.edge.api_errors import ClientGone
from turnstile.producers.gateway.edge.body import BodyRoute
from turnstile.producers.gateway.edge.caller import CurrentCaller
from turnstile.producers.gateway.edge.documentation import documented
from turnstile.producers.gateway.files.contents import contents
from turnstile.producers.gateway.files.schemas import FileList, FileObject, shown
from turnstile.producers.gateway.files.transfers import counted
from turnstile.producers.gateway.files.upload import UploadRoute, stored_upload
from turnstile.producers.gateway.paging import Limit, Order, page_of
from turnstile.producers.gateway.schemas import Deleted
from turnstile.turns.errors import UnknownFile
from turnstile.turns.store.files import File, unknown_file

router = APIRouter(prefix="/v1/files", tags=["Files"], route_class=BodyRoute)
uploads = APIRouter(prefix="/v1/files", tags=["Files"], route_class=UploadRoute)

_FORM: dict[str, Any] = {
    "type": "object",
    "required": ["file", "purpose"],
    "properties": {"file": {"type": "string", "format": "binary"}, "purpose": {"type": "string", "enum": ["batch"]}},
}
_UPLOAD = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}}


async def own_file(file_id: str, backend: CurrentBackend, caller: CurrentCaller) -> File:
    """Return the caller's file in the path. Raises UnknownFile."""
    file = await backend.store.read_file(file_id)
    if file.tenant != caller.tenant:
        raise unknown_file(file_id)
    return file


OwnFile = Annotated[File, Depends(own_file)]


@uploads.post(
    "", responses=documented({"model": FileObject}, 408, 413, 415), openapi_extra=_UPLOAD, response_class=JSONResponse
)
async def create(request: Request, backend: CurrentBackend, caller: CurrentCaller) -> Response:
    """Upload a file of requests, JSON lines, for a batch."""
    return JSONResponse(shown(await stored_upload(request, backend, caller), backend.settings.file_ttl))


@router.get("", responses=documented({"model": FileList}, 404), response_class=JSONResponse)
async def files(
    backend: CurrentBackend,
    caller: CurrentCaller,
    purpose: Annotated[Literal["batch", "batch_output"] | None, Query()] = None,
    after: str | None = None,
    limit: Limit = 100,
    order: Order = "desc",
) -> Response:
    """List the files."""

    async def find(id: str) -> dict[str, Any] | None:
        try:
            file = await backend.store.read_file(id)
        except UnknownFile:
            return None
        return shown(file, backend.settings.file_ttl) if purpose in (None, file.purpose) else None

    ids = await backend.store.list_files(caller.tenant)
    return JSONResponse(await page_of(ids if order == "desc" else ids[::-1], find, after, limit))


@router.get("/{file_id}", responses=documented({"model": FileObject}, 404), response_class=JSONResponse)
async def retrieve(file: OwnFile, backend: CurrentBackend) -> Response:
    """Return what is known of a file."""
    return JSONResponse(shown(file, backend.settings.file_ttl))


@router.get("/{file_id}/content", responses=documented({"content": {"application/octet-stream": {}}}, 404))
async def content(file: OwnFile, backend: CurrentBackend, caller: CurrentCaller) -> Response:
    """Return a file's bytes. A tenant may read a few at once."""
    pieces = counted(caller.tenant, contents(backend.store, file))
    first = await anext(pieces, b"")
    return StreamingResponse(_from(first, pieces), media_type="application/octet-stream")


async def _from(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    # A status has been sent, so this is not for the handlers of errors.
    with suppress(ClientGone):
        async with aclosing(rest):
            yield first
            async for piece in rest:
                yield piece


@router.delete("/{file_id}", responses=documented({"model": Deleted}, 404), response_class=JSONResponse)
async def delete(file: OwnFile, backend: CurrentBackend, caller: CurrentCaller) -> Response:
    """Delete a file."""
    await backend.store.delete_file(caller.tenant, file.id)
    return JSONResponse({"id": file.id, "object": "file", "deleted": True})
