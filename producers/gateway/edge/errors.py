"""Errors as OpenAI's API tells them: `{"error": {"message", "type", "param", "code"}}`."""

import logging
import re
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from turnstile.turns.errors import (
    BrokenRecord,
    InvalidTurn,
    QueueMemoryFull,
    QueueUnreachable,
    TooManyWaiting,
    TurnConflict,
    TurnNotEnded,
    TurnstileError,
    UnknownSession,
    UnknownTurn,
)

log = logging.getLogger(__name__)

NO_RETRY = {"x-should-retry": "false"}
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_PARAMS = {"question": "input", "session": "conversation", "id": "response_id"}
_FIELD = re.compile(r"[a-z_][a-z0-9_-]*")
_TAGGED = ("format", "response_format")
_TAGS = frozenset({"str", "int", "float", "bool", "none", "dict", "list"})


class ApiError(Exception):
    """A request that is answered with an error. `param` names what is wrong in it, `code` is a word for programs."""

    def __init__(
        self,
        status: int,
        message: str,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.headers = dict(headers or {})

    def response(self) -> JSONResponse:
        """The error as it goes over the wire."""
        kind = _TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        error = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return JSONResponse({"error": error}, self.status, self.headers)


class ClientGone(Exception):
    """Nobody is there any more to take an answer."""


def invalid(param: str, message: str, code: str | None = None) -> ApiError:
    """The request is wrong at `param`."""
    return ApiError(400, message, param, code)


def unsupported(param: str) -> ApiError:
    """The request wants something that OpenAI has and this gateway has not."""
    return invalid(param, f"`{param}` is not supported here.", "unsupported_parameter")


def missing(param: str, what: str, id: str) -> ApiError:
    """There is no such thing, for this caller."""
    return ApiError(404, f"{what} with id {id!r} not found.", param, "not_found")


def translate(error: TurnstileError) -> ApiError:
    """What to answer when the queue refuses."""
    match error:
        case InvalidTurn():
            return invalid(_PARAMS.get(error.param, error.param), str(error), "invalid_value")
        case TooManyWaiting():
            return ApiError(429, str(error), None, error.code, {"retry-after": "2"})
        case TurnConflict():
            message = "This idempotency key was used with another request; use a new one."
            return ApiError(422, message, "idempotency_key", "idempotency_conflict", NO_RETRY)
        case TurnNotEnded():
            return ApiError(409, str(error), None, error.code, {"retry-after": "1"})
        case UnknownTurn():
            return ApiError(404, str(error), "response_id", "not_found")
        case UnknownSession():
            return ApiError(404, "There is no such conversation any more.", "conversation_id", "not_found")
        case BrokenRecord():
            return ApiError(500, str(error), None, "broken_record", NO_RETRY)
        case QueueMemoryFull():
            return ApiError(503, str(error), None, error.code, {"retry-after": "10"})
        case QueueUnreachable():
            return ApiError(503, "The queue does not answer; try again soon.", None, "queue_unreachable", {"retry-after": "2"})
        case _:
            return ApiError(500, "Something went wrong here.", None, "internal")


class ErrorDetail(BaseModel):
    """What is wrong."""

    message: str
    type: str
    param: str | None = Field(description="The part of the request that is wrong.")
    code: str | None = Field(description="A word for programs.")


class ErrorBody(BaseModel):
    """Every answer that is no success."""

    error: ErrorDetail


Documented = dict[int | str, dict[str, Any]]


def documented(success: dict[str, Any], *statuses: int) -> Documented:
    """OpenAPI entries for a route's success, and for its errors; those that every route has are among them."""
    described = {
        400: "The request is wrong.",
        401: "The API key is missing or wrong.",
        404: "There is no such thing.",
        409: "Not now.",
        413: "The request is too large.",
        422: "The idempotency key was used with another request.",
        429: "Too much at once.",
        503: "The queue does not answer.",
    }
    wanted = {400, 401, 429, 503, *statuses}
    errors: Documented = {
        status: {"model": ErrorBody, "description": text} for status, text in described.items() if status in wanted
    }
    return {200: success, **errors}


def install(app: FastAPI) -> None:
    """Make every error of an application one of ours."""
    app.add_exception_handler(ApiError, _told)
    app.add_exception_handler(TurnstileError, _translated)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RecursionError, _too_deep)
    app.add_exception_handler(ClientGone, _unheard)
    app.add_exception_handler(Exception, _defect)


async def _told(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)
    return error.response()


async def _translated(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, TurnstileError)
    told = translate(error)
    if told.status == 500:
        log.error("%s", type(error).__name__, exc_info=error)
    return told.response()


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found: list[Any] = list(error.errors())
    # A union tells one error for each of its branches: the one that came furthest into the value says most.
    told = max((e for e in found if e["loc"][:2] == found[0]["loc"][:2]), key=lambda e: len(_path(e["loc"][1:])))
    return _validation(told["loc"], told["type"], told["msg"]).response()


def _validation(where: tuple[int | str, ...], kind: str, message: str) -> ApiError:
    if kind == "json_invalid":
        return ApiError(400, "The body is not valid JSON.", None, "invalid_json")
    param = _path(where[1:]) + (".type" if kind.startswith("union_tag") else "")
    if kind == "extra_forbidden":
        return invalid(param, f"Unknown parameter: `{param}`.", "unknown_parameter")
    if kind == "missing":
        what = f"`{param}`" if param else "a JSON body"
        return ApiError(400, f"Missing {what}.", param or None, "missing_required_parameter")
    return ApiError(400, f"Invalid `{param or 'body'}`: {message}.", param or None, "invalid_value")


def _path(where: tuple[int | str, ...]) -> str:
    """`input[2].content`: field names and places; what pydantic adds for the branches of unions is left out."""
    path = ""
    for before, part in zip((None, *where), where, strict=False):
        if before in _TAGGED:
            continue
        if isinstance(part, int):
            path += f"[{part}]"
        elif _FIELD.fullmatch(part) and part not in _TAGS:
            path += f".{part}" if path else part
    return path


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    messages = {404: "There is no such path here.", 405: "There is no such method on this path."}
    message = messages.get(error.status_code, str(error.detail))
    return ApiError(error.status_code, message, None, None, error.headers).response()


async def _too_deep(_: Request, error: Exception) -> JSONResponse:  # noqa: ARG001  # its kind says all
    return ApiError(400, "The request is nested too deeply.", None, "invalid_value").response()


async def _unheard(_: Request, error: Exception) -> Response:  # noqa: ARG001  # whatever it is, nobody hears it
    return Response(status_code=499)


async def _defect(_: Request, error: Exception) -> JSONResponse:
    log.error("%s", type(error).__name__, exc_info=error)
    return ApiError(500, "Something went wrong here.", None, "internal").response()
