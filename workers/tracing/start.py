"""The choice whether a worker traces its attempts."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from turnstile.turns.settings import Settings
from turnstile.turns.tracing.switch import start
from turnstile.turns.turn import Claim
from turnstile.workers.attempt.report import Report

Traced = Callable[[Claim], AbstractContextManager[Callable[[Report], object]]]
"""Opens a span for an attempt at a turn, and yields a function that notes how it ended."""


def attempts_traced(settings: Settings) -> Traced:
    """Begin to trace, where the environment asks for it, and return how attempts are traced. Raises SettingError."""
    if not start(settings, "turnstile-worker"):
        return untraced
    # Workers that do not trace never load OpenTelemetry.
    from turnstile.workers.tracing.attempts import attempt_span

    return attempt_span


@contextmanager
def untraced(_: Claim) -> Iterator[Callable[[Report], object]]:
    """Trace nothing."""
    yield lambda _: None
