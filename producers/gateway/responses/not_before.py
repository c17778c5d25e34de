"""The time before which a response is not asked, in its request's metadata."""

from collections.abc import Mapping
from datetime import datetime

from turnstile.producers.gateway.edge.api_errors import ApiError, invalid
from turnstile.producers.gateway.responses.schemas import ResponseRequest
from turnstile.turns.errors import InvalidTurn
from turnstile.turns.schedules import moment

NOT_BEFORE = "turnstile_not_before"

_PARAM = f"metadata.{NOT_BEFORE}"
_LONGEST = 64


def not_before(body: ResponseRequest) -> float | None:
    """Return the time before which a response is not asked, in seconds since the epoch; None: it is asked at once.

    Raises ApiError for a time that cannot be read, and for a request that cannot wait for one.
    """
    text = (body.metadata or {}).get(NOT_BEFORE)
    if text is None:
        return None
    if not body.background:
        raise _unfit()
    if body.previous_response_id is not None:
        message = f"A response with `{_PARAM}` does not follow another one: name its `conversation` in place of that."
        raise invalid("previous_response_id", message, "unsupported_parameter")
    return _seconds(text)


def refuse_not_before(metadata: Mapping[str, str] | None) -> None:
    """Raise ApiError for a request that is to be answered at once, and has a time."""
    if NOT_BEFORE in (metadata or {}):
        raise _unfit()


def _unfit() -> ApiError:
    message = f"`{_PARAM}` is for responses that nobody waits for: POST /v1/responses with `background: true`."
    return invalid(_PARAM, message, "unsupported_parameter")


def _seconds(text: str) -> float:
    message = f"`{_PARAM}` must be seconds since the epoch, or a time with its offset, such as 2026-12-24T09:00:00+01:00."
    try:
        if len(text) > _LONGEST:
            raise ValueError
        return moment(float(text) if text.replace(".", "", 1).isdecimal() else datetime.fromisoformat(text)) / 1000
    except (ValueError, OverflowError, InvalidTurn):
        raise invalid(_PARAM, message, "invalid_value") from None
