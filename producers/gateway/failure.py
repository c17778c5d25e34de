"""The errors of turns that ended without an answer, and of the model's server, for requests that waited for one."""

from turnstile.producers.gateway.edge.api_errors import NO_RETRY, ApiError
from turnstile.turns.model_failures import Failure
from turnstile.turns.states import State
from turnstile.turns.turn import TurnResult

_FAILURES = {
    "rate_limited": (429, "rate_limit_exceeded"),
    "invalid_request": (400, "invalid_request"),
    "context_length_exceeded": (400, "context_length_exceeded"),
    "model_not_found": (404, "model_not_found"),
    "model_timeout": (504, "model_timeout"),
    "deadline_exceeded": (504, "deadline_exceeded"),
    "model_unreachable": (502, "model_unreachable"),
    "model_overloaded": (502, "model_overloaded"),
    "authentication": (502, "authentication"),
    "content_filter": (400, "content_filter"),
}
_MOST_DIGITS = 9


def failure(record: TurnResult) -> ApiError:
    """Return the error of a turn that has no answer, with OpenAI's code where it has one. The queue has retried already."""
    if record.state is State.CANCELLED:
        return ApiError(409, "The request was cancelled.", None, "cancelled", NO_RETRY)
    code = record.code or "internal"
    status, shown = _FAILURES.get(code, (500, code))
    return ApiError(status, record.message or "The turn failed.", None, shown, NO_RETRY)


def refusal(found: Failure, wait: str = "") -> ApiError:
    """Return the error of a request that the model's server refused, once; `wait` is the time that it asks for."""
    status, shown = _FAILURES[found.code]
    headers = {} if found.retryable else NO_RETRY
    told = wait.isascii() and wait.isdecimal() and len(wait) <= _MOST_DIGITS
    return ApiError(status, found.message, None, shown, {**headers, **({"retry-after": wait} if told else {})})
