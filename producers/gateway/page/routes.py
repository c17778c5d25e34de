"""The chat page at `/`, the API's documentation at `/docs` and the page for operators at `/admin`: static files that may only
connect to this gateway. The OpenAPI document is served as they are.
"""

import hashlib
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response

from turnstile.producers.gateway.edge.api_errors import ApiError
from turnstile.turns.text import dumps

router = APIRouter(include_in_schema=False)

_METHODS = ["GET", "HEAD"]
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml", "txt": "text/plain"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class File:
    """A file of the page; `tag` changes with its content."""

    content: bytes
    media_type: str
    tag: str


@cache
def read() -> dict[str, File]:
    """Return the page's files by name."""
    found = {file.name: file.read_bytes() for file in files("turnstile.producers.gateway.page").joinpath("static").iterdir()}
    kinds = {name: _TYPES.get(name.rpartition(".")[2]) for name in found}
    return {name: _file(found[name], f"{kind}; charset=utf-8") for name, kind in kinds.items() if kind}


@lru_cache(maxsize=1)
def _document(app: FastAPI, root_path: str) -> File:
    """Return the OpenAPI document, rendered once: anybody may ask for it."""
    servers = {"servers": [{"url": root_path}]} if root_path else {}
    return _file(dumps({**app.openapi(), **servers}).encode(), "application/json")


def _file(content: bytes, media_type: str) -> File:
    return File(content, media_type, f'"{hashlib.sha256(content).hexdigest()[:16]}"')


@router.api_route("/", methods=_METHODS)
async def index(request: Request) -> Response:
    """Serve the page."""
    return _serve(request, "index.html")


@router.api_route("/docs", methods=_METHODS)
async def docs(request: Request) -> Response:
    """Serve the documentation of the API."""
    return _serve(request, "docs.html")


@router.api_route("/admin", methods=_METHODS)
async def admin(request: Request) -> Response:
    """Serve the page for operators, which has no content of its own."""
    return _serve(request, "admin.html")


@router.api_route("/openapi.json", methods=_METHODS)
async def openapi(request: Request) -> Response:
    """Serve the OpenAPI document."""
    return _answer(request, _document(request.app, request.scope.get("root_path", "").rstrip("/")))


@router.api_route("/static/{name}", methods=_METHODS)
async def static(request: Request, name: str) -> Response:
    """Serve one of the page's files."""
    return _serve(request, name)


def _serve(request: Request, name: str) -> Response:
    file = read().get(name)
    if file is None:
        raise ApiError(404, "Not found.")
    return _answer(request, file)


def _answer(request: Request, file: File) -> Response:
    headers = {**_HEADERS, "etag": file.tag}
    if request.headers.get("if-none-match") == file.tag:
        return Response(status_code=304, headers=headers)
    return Response(file.content, headers=headers, media_type=file.media_type)
