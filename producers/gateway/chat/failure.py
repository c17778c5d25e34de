"""The errors of completions that ended without an answer."""

from turnstile.producers.gateway.edge.api_errors import NO_RETRY, ApiError
from turnstile.turns.states import State
from turnstile.turns.turn import Record

_STATUSES = {
    "rate_limited": 429,
    "invalid_request": 400,
    "context_too_long": 400,
    "model_timeout": 504,
    "deadline_exceeded": 504,
    "model_unreachable": 502,
    "model_overloaded": 502,
    "authentication": 502,
}


def failure(record: Record) -> ApiError:
    """Return the error of a turn that has no answer."""
    if record.state is State.CANCELLED:
        return ApiError(409, "The completion was cancelled.", None, "cancelled", NO_RETRY)
    code = record.code or "internal"
    status = _STATUSES.get(code, 500)
    return ApiError(status, record.message or "The turn failed.", None, code, NO_RETRY)
