"""Failures of a model's server: the code, whether a later request may go well, and the words for whoever asked.

Messages are written here, word for word: what a provider says may hold the question, the answer or a key.
"""

from dataclasses import dataclass

from turnstile.turns.server_words import ServerWords


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

    @property
    def is_outage(self) -> bool:
        """True where the server was away, and nobody knows until when: it did not ask for patience."""
        return self.away and self.code != "rate_limited" and self.retry_after is None


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

BY_CODE = {
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


def of_status(status: int, code: str, words: ServerWords) -> Failure:
    """Return the failure that an error's status, code and words stand for."""
    if words.too_long(status):
        return TOO_LONG
    by_status = OVERLOADED if status >= 500 else _BY_STATUS.get(status, INVALID)
    return by_status if status >= 500 else BY_CODE.get(code, by_status)
