"""Errors of a model's server as failures: the code, whether a later request may go well, and when.

A server's words may hold the question, the answer or a key, so no message quotes them.
"""

import socket
from collections.abc import Mapping
from dataclasses import replace

import aiohttp
import httpx2
import openai
from langchain_core import exceptions as langchain

from turnstile.turns.model_failures import (
    BY_CODE,
    FILTERED,
    INVALID,
    OUT_OF_QUOTA,
    OVERLOADED,
    RATE_LIMITED,
    TIMEOUT,
    TOO_LONG,
    UNAUTHORIZED,
    UNKNOWN_MODEL,
    UNREACHABLE,
    Failure,
    of_status,
)
from turnstile.turns.model_limits import retry_after
from turnstile.turns.server_words import ServerWords

_BY_TYPE: tuple[tuple[type[BaseException], Failure], ...] = (
    (langchain.ContextOverflowError, TOO_LONG),
    (openai.ContentFilterFinishReasonError, FILTERED),
    (openai.LengthFinishReasonError, INVALID),
    (TimeoutError, TIMEOUT),
    (openai.APITimeoutError, TIMEOUT),
    (langchain.ModelTimeoutError, TIMEOUT),
    (httpx2.TimeoutException, TIMEOUT),
    (openai.APIConnectionError, UNREACHABLE),
    (langchain.ModelConnectionError, UNREACHABLE),
    (httpx2.TransportError, UNREACHABLE),
    (aiohttp.ClientConnectionError, UNREACHABLE),
    (aiohttp.ClientPayloadError, UNREACHABLE),
    (ConnectionError, UNREACHABLE),
    (langchain.ModelRateLimitError, RATE_LIMITED),
    (langchain.ModelAPIError, OVERLOADED),
    (langchain.ModelAuthenticationError, UNAUTHORIZED),
    (langchain.ModelPermissionDeniedError, UNAUTHORIZED),
    (langchain.ModelNotFoundError, UNKNOWN_MODEL),
    (langchain.ModelInvalidRequestError, INVALID),
    (openai.APIError, OVERLOADED),
)
_AWAY_STATUSES = (502, 503, 504)
_UNCONNECTED = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    httpx2.ConnectError,
    ConnectionRefusedError,
    socket.gaierror,
)


def model_failure(error: BaseException) -> Failure | None:
    """Return the failure for an error of a model's server, with the server's own words; None for any other error."""
    failure = _classify(error)
    if failure is None:
        return None
    status = getattr(error, "status_code", None)
    told = ServerWords.of(error) if getattr(error, "body", None) else None
    return replace(failure, status=status if isinstance(status, int) else None, words=told)


def is_unconnected(error: BaseException) -> bool:
    """Return whether a server refuses connections, or has no address or certificate to connect to: whatever was asked."""
    return _cause(error, _UNCONNECTED) is not None and _cause(error, (aiohttp.ConnectionTimeoutError,)) is None


def _classify(error: BaseException) -> Failure | None:
    status = getattr(error, "status_code", None)
    if isinstance(status, int) and status >= 400:
        return _answered(error, status)
    if code := BY_CODE.get(str(getattr(error, "code", None))):
        return code
    if isinstance(error, openai.APIError) and error.body and ServerWords.of(error).too_long(None):
        return TOO_LONG
    if _cause(error, _UNCONNECTED):
        return replace(TIMEOUT if _cause(error, (aiohttp.ConnectionTimeoutError,)) else UNREACHABLE, away=True)
    if _was_cut_off(error):
        return UNREACHABLE
    return next((failure for kind, failure in _BY_TYPE if isinstance(error, kind)), None)


def _answered(error: BaseException, status: int) -> Failure:
    headers: Mapping[str, str] = getattr(getattr(error, "response", None), "headers", None) or {}
    found = _of_status(error, status)
    advice = headers.get("x-should-retry")
    retryable = advice == "true" if advice in ("true", "false") and found is not OUT_OF_QUOTA else found.retryable
    message = f"{found.message} (HTTP {status})"
    away = retryable and (found.away or status in _AWAY_STATUSES)
    return Failure(found.code, message, retryable, retry_after(headers) if retryable else None, away)


def _of_status(error: BaseException, status: int) -> Failure:
    if isinstance(error, langchain.ContextOverflowError):
        return TOO_LONG
    return of_status(status, str(getattr(error, "code", None)), ServerWords.of(error))


def _was_cut_off(error: BaseException) -> bool:
    """Return whether a connection was lost that the SDK's aiohttp transport reports as a connect time-out."""
    cause = _cause(error, (aiohttp.ClientError,))
    return isinstance(cause, aiohttp.ClientConnectionError) and not isinstance(cause, TimeoutError)


def _cause(error: BaseException, kinds: tuple[type[BaseException], ...]) -> BaseException | None:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, kinds):
        cause = cause.__cause__
    return cause
