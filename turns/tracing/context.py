"""The trace that a turn is part of, in W3C's form. Nothing here needs OpenTelemetry."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from turnstile.turns.text import dumps

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(-[!-~]{1,64})?")
_TRACESTATE = re.compile(r"[ -~]{1,512}")
_API = "opentelemetry.trace"


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A place in a trace: the headers `traceparent` and `tracestate` of W3C's Trace Context."""

    traceparent: str
    tracestate: str = ""

    def encode(self) -> dict[str, str]:
        """Return the headers."""
        return {"traceparent": self.traceparent, **({"tracestate": self.tracestate} if self.tracestate else {})}


owner: ContextVar[str] = ContextVar("turn of a new trace", default="")
"""The turn that a trace which begins belongs to."""

given: ContextVar[TraceContext | None] = ContextVar("given trace", default=None)
"""The trace that the caller of this process named."""


def is_traceparent(text: str) -> bool:
    """Return True for the form of `traceparent`."""
    return bool(_TRACEPARENT.fullmatch(text))


def is_tracestate(text: str) -> bool:
    """Return True for the form of `tracestate`."""
    return bool(_TRACESTATE.fullmatch(text))


def read(traceparent: object, tracestate: object = "") -> TraceContext | None:
    """Return the trace that headers name; None where there is none, or the headers are wrong: then a new one begins."""
    if not isinstance(traceparent, str) or not is_traceparent(traceparent):
        return None
    return TraceContext(traceparent, tracestate if isinstance(tracestate, str) and is_tracestate(tracestate) else "")


def trace_id(traceparent: str) -> str:
    """Return the id of the trace; empty where there is none."""
    found = _TRACEPARENT.fullmatch(traceparent)
    return found[1] if found else ""


def current_ids() -> dict[str, str]:
    """Return the ids of the trace and the span that are current in this task."""
    api: Any = sys.modules.get(_API)
    place = api.get_current_span().get_span_context() if api else None
    if place is None or not place.is_valid:
        return {}
    return {"trace_id": api.format_trace_id(place.trace_id), "span_id": api.format_span_id(place.span_id)}


@contextmanager
def trace_of(turn: str) -> Iterator[None]:
    """Let a trace that begins meanwhile have an id made of a turn's: all attempts at that are in one, whoever makes them."""
    token = owner.set(turn)
    try:
        yield
    finally:
        owner.reset(token)


def of_turn(turn: str, queue: str) -> TraceContext | None:
    """Return the trace that a turn which is asked now belongs to; None where nobody traces.

    A program that uses OpenTelemetry has imported its API; for any other this costs one look.
    """
    api = sys.modules.get(_API)
    return (_created(api, turn, queue) if api else None) or given.get()


def _created(api: Any, turn: str, queue: str) -> TraceContext | None:
    """Return the place of a span for the creation of a turn, in OpenTelemetry's words for messages."""
    about = {
        "messaging.system": "turnstile",
        "messaging.operation.type": "create",
        "messaging.operation.name": "ask",
        "messaging.destination.name": queue,
        "messaging.message.id": turn,
    }
    span = api.get_tracer("turnstile").start_span(f"ask {queue}", kind=api.SpanKind.PRODUCER, attributes=about)
    span.end()
    place = span.get_span_context()
    if not place.is_valid:
        return None
    id, span_id = api.format_trace_id(place.trace_id), api.format_span_id(place.span_id)
    return TraceContext(f"00-{id}-{span_id}-{place.trace_flags:02x}", place.trace_state.to_header())


def link(place: TraceContext | None) -> None:
    """Link the current span with another place: what happens here happens for that, too."""
    api: Any = sys.modules.get(_API)
    found = _TRACEPARENT.fullmatch(place.traceparent) if api and place else None
    if found:
        trace_id, span_id = int(found[1], 16), int(found[2], 16)
        api.get_current_span().add_link(api.SpanContext(trace_id, span_id, is_remote=True))


def join(encoded: str, place: TraceContext | None) -> str:
    """Return a turn's encoded options with its trace, which is none of what is asked."""
    if place is None:
        return encoded
    return f"{encoded[:-1]}{',' if len(encoded) > len('{}') else ''}{dumps(place.encode())[1:]}"
