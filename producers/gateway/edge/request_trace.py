"""The trace of a request: one that its caller names by W3C's headers, or its own; a span, where this gateway traces."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from turnstile.producers.gateway.edge.body import Scope
from turnstile.turns.tracing.context import TraceContext, given, read

_NAMES = (b"traceparent", b"tracestate")
_on = False


def trace_requests() -> None:
    """Make a span for each request from now on."""
    global _on
    _on = True


def named_trace(scope: Scope) -> TraceContext | None:
    """Return the trace that a request's caller names."""
    found = {name: value.decode("latin-1") for name, value in scope["headers"] if name in _NAMES}
    return read(found.get(b"traceparent"), found.get(b"tracestate")) if found else None


@contextmanager
def within(place: TraceContext | None, scope: Scope) -> Iterator[Any]:
    """Let turns that are asked meanwhile belong to the caller's trace. Yield the request's span, or None."""
    token = given.set(place)
    try:
        if _on:
            with _span(place, scope) as span:
                yield span
        else:
            yield None
    finally:
        given.reset(token)


@contextmanager
def _span(place: TraceContext | None, scope: Scope) -> Iterator[Any]:
    trace: Any = sys.modules["opentelemetry.trace"]
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    outer = trace.get_current_span().get_span_context().is_valid
    parent = TraceContextTextMapPropagator().extract(place.encode()) if place and not outer else None
    about = {"http.request.method": scope["method"], "url.scheme": scope["scheme"]}
    span = trace.get_tracer("turnstile").start_span(scope["method"], parent, trace.SpanKind.SERVER, about)
    with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        yield span
