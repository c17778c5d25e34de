"""An upload: a form with a file, kept on disk while it comes in, then stored in pieces."""

from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.edge.api_errors import ApiError, invalid
from turnstile.producers.gateway.edge.body import BoundedReceive, announced_bytes
from turnstile.producers.gateway.edge.caller import CALLER, Caller
from turnstile.producers.gateway.files.transfers import transfer
from turnstile.turns.errors import TurnstileError
from turnstile.turns.store.files import INPUT, File

PIECE_BYTES = 262_144
_FORM_BYTES = 65_536
"""Room for the rest of a form: its other fields, and what stands between them."""
_LONGEST_NAME = 200
_FIELDS = frozenset({"file", "purpose", "expires_after[anchor]", "expires_after[seconds]"})


class UploadRoute(APIRoute):
    """A route that reads a form with a file, of bounded size."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of requests."""
        handle = super().get_route_handler()

        async def read_and_handle(request: Request) -> Response:
            limit = request.app.state.backend.settings.max_file_bytes + _FORM_BYTES
            with transfer(request.scope[CALLER].tenant):
                return await handle(Request(request.scope, BoundedReceive(request.scope, request.receive, limit)))

        return read_and_handle


async def stored_upload(request: Request, backend: Backend, caller: Caller) -> File:
    """Store the file of a request's form, and return it. Raises ApiError, FileRefused, QueueUnreachable."""
    if announced_bytes(request.scope) == 0 or not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise ApiError(415, "Send the file as `multipart/form-data`, with its `purpose`.", None, "unsupported_media_type")
    if _charset(request) not in {"", "utf-8"}:
        # A form is decoded as its sender wants, and some of Python's codecs take a second for each 64 KB.
        raise ApiError(400, "The form's `charset` must be UTF-8.", None, "invalid_form")
    try:
        async with request.form(max_files=1, max_fields=len(_FIELDS), max_part_size=_FORM_BYTES) as form:
            return await _stored(_checked(form), backend, caller)
    except HTTPException as error:
        raise ApiError(400, f"The form cannot be read: {error.detail}", None, "invalid_form") from None


def _charset(request: Request) -> str:
    _, parameters = parse_options_header(request.headers["content-type"])
    return parameters.get(b"charset", b"").decode("latin-1").lower()


def _checked(form: FormData) -> UploadFile:
    if unknown := form.keys() - _FIELDS:
        raise invalid(min(unknown), f"Unknown field: `{min(unknown)[:64]}`.", "unknown_parameter")
    file, purpose = form.get("file"), form.get("purpose")
    if not isinstance(file, UploadFile):
        raise ApiError(400, "Missing `file`.", "file", "missing_required_parameter")
    if purpose != INPUT:
        raise invalid("purpose", f"`purpose` must be `{INPUT}`: files are for batches.", "invalid_value")
    return file


async def _stored(upload: UploadFile, backend: Backend, caller: Caller) -> File:
    store, id = backend.store, f"file-{caller.key('file', None)}"
    await store.create_file(caller.tenant, id, (upload.filename or "upload.jsonl")[:_LONGEST_NAME])
    try:
        await _append(upload, backend, caller, id)
    except TurnstileError:
        with suppress(TurnstileError):
            await store.delete_file(caller.tenant, id)
        raise
    return await store.read_file(id)


async def _append(upload: UploadFile, backend: Backend, caller: Caller, id: str) -> None:
    number = offset = 0
    piece = await upload.read(PIECE_BYTES)
    last = False
    while not last:
        following = await upload.read(PIECE_BYTES)
        last = not following
        await backend.store.append_piece(caller.tenant, id, number, offset, piece, last=last)
        number, offset, piece = number + 1, offset + len(piece), following
