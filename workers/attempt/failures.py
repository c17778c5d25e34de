"""Failed calls to a chain: the code for the turn, whether to retry, and when.

Messages are written here, word for word: what a provider or a chain says may hold the question, the answer or a key.
"""

import math
import random
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime

import aiohttp
import httpx2
import openai
from langchain_core import exceptions as langchain

from turnstile.memory.element import MessageTooLarge
from turnstile.memory.step_errors import StepError
from turnstile.turns.settings import Settings
from turnstile.workers.attempt.server_words import ServerWords
from turnstile.workers.chains.run import ChainOutputError, OptionRefused, ToolRaised


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt. `code` is one of `turns.errors.TurnFailed`'s; `retry_after` is in seconds, if the server sent one.

    `away`: the server was not there for anybody, or asks for patience, so this says nothing of the question. `words` are the
    server's own.
    """

    code: str
    message: str
    retryable: bool
    retry_after: float | None = None
    away: bool = False
    status: int | None = None
    words: ServerWords | None = None


TIMEOUT = Failure("model_timeout", "The model did not answer in time.", True)
UNREACHABLE = Failure("model_unreachable", "The model's server cannot be reached, or the connection to it broke.", True)
OVERLOADED = Failure("model_overloaded", "The model's server failed.", True)
RATE_LIMITED = Failure("rate_limited", "The model's server asks for fewer requests.", True, away=True)
OUT_OF_QUOTA = Failure("rate_limited", "The quota at the model's provider is used up: check the plan and billing there.", False)
UNAUTHORIZED = Failure("authentication", "The model's server refuses the key or its rights: check OPENAI_API_KEY.", False)
UNKNOWN_MODEL = Failure(
    "invalid_request",
    "The model's server knows no such model or path: check TURNSTILE_MODEL and OPENAI_BASE_URL.",
    False,
)
INVALID = Failure("invalid_request", "The model's server refuses the request as invalid.", False)
TOO_LONG = Failure(
    "context_length_exceeded",
    "The question, with as little of its history as may be sent, is too long for the model: ask less.",
    False,
)
FILTERED = Failure("content_filter", "The provider's content filter refuses the question or the answer.", False)

_BY_CODE = {
    "context_length_exceeded": TOO_LONG,
    "content_filter": FILTERED,
    "content_policy_violation": FILTERED,
    "insufficient_quota": OUT_OF_QUOTA,
    "billing_hard_limit_reached": OUT_OF_QUOTA,
    "billing_not_active": OUT_OF_QUOTA,
    "rate_limit_exceeded": RATE_LIMITED,
    "invalid_api_key": UNAUTHORIZED,
    "model_not_found": UNKNOWN_MODEL,
    "server_error": OVERLOADED,
}
_BY_STATUS = {
    401: UNAUTHORIZED,
    403: UNAUTHORIZED,
    404: UNKNOWN_MODEL,
    408: TIMEOUT,
    409: OVERLOADED,
    425: OVERLOADED,
    429: RATE_LIMITED,
}
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
    if code := _BY_CODE.get(str(getattr(error, "code", None))):
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
    if isinstance(error, langchain.ContextOverflowError) or ServerWords.of(error).too_long(status):
        return TOO_LONG
    by_status = OVERLOADED if status >= 500 else _BY_STATUS.get(status, INVALID)
    by_code = _BY_CODE.get(str(getattr(error, "code", None)), by_status)
    return by_status if status >= 500 else by_code


def _was_cut_off(error: BaseException) -> bool:
    """Return whether a connection was lost that the SDK's aiohttp transport reports as a connect time-out."""
    cause = _cause(error, (aiohttp.ClientError,))
    return isinstance(cause, aiohttp.ClientConnectionError) and not isinstance(cause, TimeoutError)


def _cause(error: BaseException, kinds: tuple[type[BaseException], ...]) -> BaseException | None:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, kinds):
        cause = cause.__cause__
    return cause


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from `retry-after-ms` or `retry-after` (seconds, or an HTTP date); None if there is none."""
    try:
        if (value := headers.get("retry-after-ms")) is not None:
            seconds = float(value) / 1000
        elif (value := headers.get("retry-after")) is None:
            return None
        else:
            seconds = _seconds(value)
    except ValueError:
        return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _seconds(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return parsedate_to_datetime(value).timestamp() - time.time()


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
