"""Failed calls to a chain: the code for the turn, whether to retry, and when.

A chain's words may hold the question, the answer or a key, so no message quotes them.
"""

import random
import socket
from collections.abc import Mapping
from dataclasses import replace

import aiohttp
import httpx2
import openai
from langchain_core import exceptions as langchain

from turnstile.memory.element import MessageTooLarge
from turnstile.memory.step_errors import StepError
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
from turnstile.turns.server_words import ServerWords
from turnstile.turns.settings import Settings
from turnstile.workers.budgets.told import retry_after
from turnstile.workers.chains.run import ChainOutputError, OptionRefused, ToolRaised

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
_MOST_DOUBLINGS = 32
_LAST_TRY_SECONDS = 2.0


def classify(error: BaseException) -> Failure:
    """Return the failure for an error, in words that are safe to store and to show. A chain's own error is never retried."""
    failure = _classify(error)
    if failure.code == "chain_error":
        return failure
    status = getattr(error, "status_code", None)
    told = ServerWords.of(error) if getattr(error, "body", None) else None
    return replace(failure, status=status if isinstance(status, int) else None, words=told)


def _classify(error: BaseException) -> Failure:
    if own := _of_our_own(error):
        return own
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
    for kind, failure in _BY_TYPE:
        if isinstance(error, kind):
            return failure
    return Failure("chain_error", f"The chain raised {type(error).__name__}.", False)


def _of_our_own(error: BaseException) -> Failure | None:
    if isinstance(error, ChainOutputError | MessageTooLarge | ToolRaised):
        return Failure("chain_error", str(error), False)
    if isinstance(error, StepError):
        return Failure(error.code, str(error), False)
    return Failure("invalid_request", str(error), False) if isinstance(error, OptionRefused) else None


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


def backoff(attempt: int, settings: Settings, retry_after: float | None = None) -> float:
    """Return the seconds to wait after failed attempt number `attempt`, from 1: exponential, with full jitter, capped.

    The server's own wait (`Failure.retry_after`) comes first, up to the same cap.
    """
    ceiling = settings.retry_base_seconds * 2.0 ** min(attempt - 1, _MOST_DOUBLINGS)
    jitter = random.uniform(0, min(ceiling, settings.retry_max_seconds))  # noqa: S311  # spreads load, guards nothing
    return min((retry_after or 0.0) + jitter, settings.retry_max_seconds)


def outage_pause(elapsed: float, remaining: float, settings: Settings, retry_after: float | None = None) -> float | None:
    """Return the seconds to wait for a server that is away, or None when the deadline leaves no time for another try.

    A quarter to half of the time since the turn's start, so that pauses grow, within the cap. The last try has a moment left
    before the deadline.
    """
    most = min(max(elapsed / 2, settings.retry_base_seconds), settings.retry_max_seconds)
    pause = max(min(retry_after or 0.0, settings.retry_max_seconds), random.uniform(most / 2, most))  # noqa: S311  # as above
    left = remaining - _LAST_TRY_SECONDS
    return min(pause, left) if left > 0 else None
