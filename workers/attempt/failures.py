"""Failed calls to a chain: the code for the turn, whether to retry, and when.

A chain's words may hold the question, the answer or a key, so no message quotes them.
"""

import random

from turnstile.memory.element import MessageTooLarge
from turnstile.memory.step_errors import StepError
from turnstile.turns.model_failures import Failure
from turnstile.turns.settings import Settings
from turnstile.workers.chains.model_errors import model_failure
from turnstile.workers.chains.run import ChainOutputError, OptionRefused, ToolRaised

_MOST_DOUBLINGS = 32
_LAST_TRY_SECONDS = 2.0


def classify(error: BaseException) -> Failure:
    """Return the failure for an error, in words that are safe to store and to show. A chain's own error is never retried."""
    own = _of_our_own(error) or model_failure(error)
    return own or Failure("chain_error", f"The chain raised {type(error).__name__}.", False)


def _of_our_own(error: BaseException) -> Failure | None:
    if isinstance(error, ChainOutputError | MessageTooLarge | ToolRaised):
        return Failure("chain_error", str(error), False)
    if isinstance(error, StepError):
        return Failure(error.code, str(error), False)
    return Failure("invalid_request", str(error), False) if isinstance(error, OptionRefused) else None


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
