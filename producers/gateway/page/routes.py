"""The chat page at `/` and the API's own at `/docs`: plain files, served as they are, allowed to reach this gateway only."""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request
from fastapi.responses import Response

from turnstile.producers.gateway.edge.errors import ApiError

router = APIRouter(include_in_schema=False)

_METHODS = ["GET", "HEAD"]
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class File:
    """One file of the page; `tag` changes with its content."""

    content: bytes
    media_type: str
    tag: str


@cache
def read() -> dict[str, File]:
    """The page's files, by name."""
    found = {file.name: file.read_bytes() for file in files("turnstile.producers.gateway.page").joinpath("static").iterdir()}
    return {name: _file(name, content) for name, content in found.items() if name.rpartition(".")[2] in _TYPES}


def _file(name: str, content: bytes) -> File:
    kind = _TYPES[name.rpartition(".")[2]]
    return File(content, f"{kind}; charset=utf-8", f'"{hashlib.sha256(content).hexdigest()[:16]}"')


@router.api_route("/", methods=_METHODS)
async def index(request: Request) -> Response:
    """The page."""
    return _serve(request, "index.html")


@router.api_route("/docs", methods=_METHODS)
async def docs(request: Request) -> Response:
    """The documentation of the API."""
    return _serve(request, "docs.html")


@router.api_route("/static/{name}", methods=_METHODS)
async def static(request: Request, name: str) -> Response:
    """One of the files that the page is made of."""
    return _serve(request, name)


def _serve(request: Request, name: str) -> Response:
    file = read().get(name)
    if file is None:
        raise ApiError(404, "There is no such path here.")
    headers = {**_HEADERS, "etag": file.tag}
    if request.headers.get("if-none-match") == file.tag:
        return Response(status_code=304, headers=headers)
    return Response(file.content, headers=headers, media_type=file.media_type)
