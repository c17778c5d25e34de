"""OpenTelemetry's SDK in a worker or a gateway: spans go to a collector over HTTP, from a thread of their own.

A turn that comes without a trace gets one whose id is made of the turn's, so that all attempts at it are in the same.
"""

import hashlib
import logging
import threading
from importlib.metadata import version

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

from turnstile.turns.errors import SettingError
from turnstile.turns.repeated_errors import RecentTexts
from turnstile.turns.tracing.context import owner

_END_SECONDS = 1.0
_provider: TracerProvider | None = None


class _TurnIds(RandomIdGenerator):
    def generate_trace_id(self) -> int:
        """Return an id at random, or the one that belongs to a turn."""
        turn = owner.get()
        return int.from_bytes(hashlib.sha256(turn.encode()).digest()[:16]) if turn else super().generate_trace_id()


class _OncePerMinute(logging.Filter):
    """A filter for the exporter's warnings: a collector may be away for long."""

    def __init__(self) -> None:
        super().__init__()
        self._recent = RecentTexts()

    def filter(self, record: logging.LogRecord) -> bool:
        """Drop what was said in the last minute; a retry says how long it waits, so the text before its values counts."""
        return self._recent.add(str(record.msg))


def export_spans(service: str) -> None:
    """Have spans of this process exported, as the `OTEL_…` variables say. Raises SettingError for a value that is wrong."""
    global _provider
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("opentelemetry.")]:
        logging.getLogger(name).addFilter(_OncePerMinute())
    ours = Resource({SERVICE_NAME: service, SERVICE_VERSION: version("turnstile")})
    try:
        resource = Resource.create().merge(ours).merge(OTELResourceDetector().detect())
        _provider = TracerProvider(resource=resource, id_generator=_TurnIds(), shutdown_on_exit=False)
        _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    except (ValueError, OSError) as error:
        raise SettingError(f"OpenTelemetry refuses its settings (OTEL_…): {error}") from None
    trace.set_tracer_provider(_provider)


def end() -> None:
    """Send the last spans. A collector that does not answer is not waited for."""
    if _provider:
        ending = threading.Thread(target=_provider.shutdown, daemon=True)
        ending.start()
        ending.join(_END_SECONDS)
