"""Errors in the form of OpenAI's API: `{"error": {"message", "type", "param", "code"}}`."""

import math
from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse

from turnstile.turns.errors import (
    BrokenRecord,
    CallNotAnswered,
    CallNotOpen,
    FileRefused,
    HistoryFull,
    InvalidTurn,
    QueueMemoryFull,
    QueueUnreachable,
    QuotaExceeded,
    SessionBusy,
    SessionHeld,
    SessionSpent,
    TooManyWaiting,
    TurnConflict,
    TurnNotEnded,
    TurnRefused,
    TurnstileError,
    UnknownBatch,
    UnknownFile,
    UnknownSession,
    UnknownTurn,
)
from turnstile.turns.ids import shown
from turnstile.turns.parameters import listed

INTERNAL = "Internal server error."
NO_RETRY = {"x-should-retry": "false"}
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_PARAMS = {
    **dict.fromkeys(("question", "before", "history", "answers"), "input"),
    "response_format": "text.format",
    "session": "conversation",
    "id": "response_id",
    "when_busy": "metadata.turnstile_when_busy",
    "not_before": "metadata.turnstile_not_before",
}


class ApiError(Exception):
    """An error to answer a request with. `param` names the wrong part of the request, `code` is a word for programs."""

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

    def body(self) -> dict[str, Any]:
        """Return the error as a response's body."""
        kind = _TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        """Return the error as a response."""
        return JSONResponse(self.body(), self.status, self.headers)


class Restarting(ApiError):
    """The gateway stops before a request has been answered; by default, the client may repeat it."""

    def __init__(self, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(503, "The gateway is restarting; please retry.", None, "restarting", headers or {"retry-after": "1"})


class ClientGone(Exception):
    """The client disconnected before its answer."""


def invalid(param: str, message: str, code: str | None = None) -> ApiError:
    """Return the error of a request that is wrong at `param`."""
    return ApiError(400, message, param, code)


def unsupported(param: str, *more: str) -> ApiError:
    """Return the error of a request for what this gateway does not support; it names all."""
    message = f"{listed((param, *more))} {'are' if more else 'is'} not supported."
    return invalid(param, message, "unsupported_parameter")


def missing(param: str, kind: str, id: str) -> ApiError:
    """Return the error of an id that names nothing of this caller's."""
    return ApiError(404, f"{kind} with id {shown(id)!r} not found.", param, "not_found")


_SOON_SECONDS = 120
"""Clients wait no longer for a `retry-after`."""

_LATER: dict[type[TurnRefused], tuple[int, str]] = {
    TooManyWaiting: (429, "2"),
    TurnNotEnded: (409, "1"),
    SessionHeld: (409, "10"),
    QueueMemoryFull: (503, "10"),
}
"""Refusals that a later request may escape: status, and seconds to wait."""

_UNKNOWN: dict[type[TurnstileError], str] = {UnknownTurn: "response_id", UnknownFile: "file_id", UnknownBatch: "batch_id"}


def retry_after(seconds: float) -> dict[str, str]:
    """Return the headers that tell a client when to try again."""
    return {"retry-after": str(math.ceil(seconds)), "retry-after-ms": str(math.ceil(seconds * 1000))}


def no_output(call: str) -> ApiError:
    """Return OpenAI's error for a call that nothing answers."""
    return invalid("input", f"No tool output found for function call {shown(call)}.")


def no_call(call: str) -> ApiError:
    """Return OpenAI's error for an answer to a call that there is not."""
    return invalid("input", f"No tool call found for function call output with call_id {shown(call)}.")


def _unfit(error: SessionBusy | SessionSpent | CallNotOpen | CallNotAnswered | HistoryFull) -> ApiError:
    if isinstance(error, SessionBusy):
        # OpenAI's own word for it, under a status that clients do not try again.
        return invalid("conversation", str(error), "conversation_locked")
    if isinstance(error, SessionSpent):
        return ApiError(429, str(error), "conversation", "insufficient_quota", NO_RETRY)
    if isinstance(error, HistoryFull):
        return invalid("conversation", str(error), error.code)
    if not error.call:
        return invalid("input", str(error), error.code)
    return (no_call if isinstance(error, CallNotOpen) else no_output)(error.call)


def _later(error: TurnRefused) -> ApiError:
    if isinstance(error, QuotaExceeded):
        # A quota of a day is no use to wait for.
        more = {} if error.wait < _SOON_SECONDS else NO_RETRY
        return ApiError(
            429, str(error), None, "insufficient_quota" if more else "rate_limit_exceeded", retry_after(error.wait) | more
        )
    status, seconds = _LATER[type(error)]
    return ApiError(status, str(error), None, error.code, {"retry-after": seconds})


def translate(error: TurnstileError) -> ApiError:
    """Return the API error for an error of the queue."""
    match error:
        case InvalidTurn():
            return invalid(_PARAMS.get(error.param, error.param), str(error), "invalid_value")
        case TooManyWaiting() | TurnNotEnded() | SessionHeld() | QueueMemoryFull():
            return _later(error)
        case TurnConflict():
            message = "This idempotency key was used with another request; use a new one."
            return ApiError(422, message, "idempotency_key", "idempotency_conflict", NO_RETRY)
        case SessionBusy() | SessionSpent() | HistoryFull() | CallNotOpen() | CallNotAnswered():
            return _unfit(error)
        case UnknownTurn() | UnknownFile() | UnknownBatch():
            return ApiError(404, str(error), _UNKNOWN[type(error)], "not_found")
        case UnknownSession():
            return ApiError(404, "The conversation no longer exists.", "conversation_id", "not_found")
        case FileRefused():
            return ApiError(413, str(error), "file", "file_refused", NO_RETRY)
        case BrokenRecord():
            return ApiError(500, str(error), None, "broken_record", NO_RETRY)
        case QueueUnreachable():
            return ApiError(
                503, "The queue does not answer; please retry soon.", None, "queue_unreachable", {"retry-after": "2"}
            )
        case _:
            return ApiError(500, INTERNAL, None, "internal")
