"""The answers to every kind of error."""

import logging
import re
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from turnstile.producers.gateway.edge.api_errors import INTERNAL, ApiError, ClientGone, invalid, translate
from turnstile.turns.errors import TurnstileError

log = logging.getLogger(__name__)

_FIELD = re.compile(r"[a-z_][a-z0-9_-]*")
_TAGGED = ("format", "response_format")
_TAGS = frozenset({"str", "int", "float", "bool", "none", "dict", "list"})


def install(app: FastAPI) -> None:
    """Have an application answer every error in the form of OpenAI's API."""
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(TurnstileError, _translated)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RecursionError, _too_deep)
    app.add_exception_handler(ClientGone, _client_gone)
    app.add_exception_handler(Exception, _defect)


async def _api_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)
    return error.response()


async def _translated(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, TurnstileError)
    answer = translate(error)
    if answer.status == 500:
        log.error("%s", type(error).__name__, exc_info=error)
    return answer.response()


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return wrong_body(error.errors()).response()


def wrong_body(found: Sequence[Any]) -> ApiError:
    """Return the error of a request with these faults, as pydantic names them."""
    # A union gives an error for each of its branches: the one furthest into the value says most.
    deepest = max((e for e in found if e["loc"][:2] == found[0]["loc"][:2]), key=lambda e: len(_path(e["loc"][1:])))
    return _validation(deepest["loc"], deepest["type"], deepest["msg"].removeprefix("Value error, "))


def _validation(where: tuple[int | str, ...], kind: str, message: str) -> ApiError:
    if kind == "json_invalid":
        return ApiError(400, "The body is not valid JSON.", None, "invalid_json")
    param = _path(where[1:]) + (".type" if kind.startswith("union_tag") else "")
    if kind == "extra_forbidden":
        return invalid(param, f"Unknown parameter: `{param}`.", "unknown_parameter")
    if kind == "missing":
        lacking = f"`{param}`" if param else "a JSON body"
        return ApiError(400, f"Missing {lacking}.", param or None, "missing_required_parameter")
    return ApiError(400, f"Invalid `{param or 'body'}`: {message}.", param or None, "invalid_value")


def _path(where: tuple[int | str, ...]) -> str:
    """Return a path like `input[2].content`, without pydantic's names of the branches of unions."""
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
    messages = {404: "Not found.", 405: "Method not allowed."}
    message = messages.get(error.status_code, str(error.detail))
    return ApiError(error.status_code, message, None, None, error.headers).response()


async def _too_deep(_: Request, error: Exception) -> JSONResponse:  # noqa: ARG001  # its type says all
    return ApiError(400, "The request is nested too deeply.", None, "invalid_value").response()


async def _client_gone(_: Request, error: Exception) -> Response:  # noqa: ARG001  # nobody receives it
    return Response(status_code=499)


async def _defect(_: Request, error: Exception) -> JSONResponse:
    log.error("%s", type(error).__name__, exc_info=error)
    return ApiError(500, INTERNAL, None, "internal").response()
