"""The span of one attempt at a turn, and of the turn's wait before the first."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import time_ns
from typing import Any

from langchain_core.tracers.context import register_configure_hook
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from turnstile.turns.ids import tenant_of
from turnstile.turns.states import State
from turnstile.turns.tracing.context import trace_of
from turnstile.turns.turn import Claim
from turnstile.workers.attempt.report import Report
from turnstile.workers.tracing.calls import CallSpans

_calls: ContextVar[CallSpans | None] = ContextVar("spans of calls", default=None)
# LangChain tells this handler of every call in an attempt, whatever chain makes it.
register_configure_hook(_calls, inheritable=True)

_NANOSECONDS = 1_000_000_000


@contextmanager
def attempt_span(claim: Claim) -> Iterator[Callable[[Report], object]]:
    """Open the span of an attempt, which is current meanwhile; the function that it yields notes how the attempt ended."""
    tracer, parent = trace.get_tracer("turnstile"), _place(claim)
    about = _about(claim)
    with trace_of(claim.id):
        if claim.attempt == 1:
            _note_wait(tracer, parent, claim, about)
        span = tracer.start_span(f"answer {claim.options.queue}", parent, SpanKind.CONSUMER, about)
    calls = CallSpans(tracer, span)
    token = _calls.set(calls if span.is_recording() else None)
    try:
        with trace.use_span(span, record_exception=False, set_status_on_exception=False):
            yield lambda report: _note_end(span, report)
    finally:
        _calls.reset(token)
        calls.end()
        span.end()


def _place(claim: Claim) -> Context | None:
    """Return the place of a turn in its trace; None, which stands for the current one, where it came without."""
    place = claim.options.trace
    return TraceContextTextMapPropagator().extract(place.encode(), Context()) if place else None


def _about(claim: Claim) -> dict[str, Any]:
    about = {
        "messaging.system": "turnstile",
        "messaging.operation.type": "process",
        "messaging.operation.name": "answer",
        "messaging.destination.name": claim.options.queue,
        "messaging.message.id": claim.id,
        "gen_ai.conversation.id": claim.session,
        "turnstile.tenant": tenant_of(claim.session),
        "turnstile.attempt": claim.attempt,
        "turnstile.chain": claim.chain or "default",
    }
    return {name: value for name, value in about.items() if value}


def _note_wait(tracer: trace.Tracer, parent: Context | None, claim: Claim, about: dict[str, Any]) -> None:
    """Note the time from a turn's acceptance to its first attempt, which Redis's clock has measured."""
    now = time_ns()
    begun = now - round((claim.now - claim.created) * _NANOSECONDS)
    span = tracer.start_span(f"wait {claim.options.queue}", parent, attributes=about, start_time=begun)
    span.end(now)


def _note_end(span: Span, report: Report) -> None:
    span.set_attribute("turnstile.outcome", report.status)
    if report.outcome and report.outcome.code:
        span.set_attribute("turnstile.code", report.outcome.code)
    if report.status == State.FAILED and report.outcome:
        span.set_attribute("error.type", report.outcome.code)
        span.set_status(StatusCode.ERROR)
