"""The start and the end of tracing in a worker or a gateway, by OpenTelemetry's own variables."""

import logging
import sys

from turnstile.turns.errors import SettingError
from turnstile.turns.extras import lack
from turnstile.turns.settings import Settings

log = logging.getLogger(__name__)

_PROTOCOL = "http/protobuf"
_API = "opentelemetry.trace"
_STANDING_IN = "ProxyTracerProvider"


def start(settings: Settings, service: str) -> bool:
    """Begin to trace where the environment asks for it, or has begun already; return whether this process traces.

    An environment is often the same for all programs of a machine, so without OpenTelemetry the log says what is missing.

    Raises:
        SettingError: the environment asks for something else than OTLP over HTTP.
    """
    if settings.otel_sdk_disabled.lower() == "true":
        return False
    api = sys.modules.get(_API)
    if api and type(api.get_tracer_provider()).__name__ != _STANDING_IN:
        return True
    if not is_wanted(settings):
        return False
    if lacking := lack("tracing"):
        log.warning("OTEL_… asks for traces, and none are made: %s", lacking)
        return False
    _check(settings)
    # Nobody else pays for this import.
    from turnstile.turns.tracing.sdk import export_spans

    export_spans(service)
    return True


def stop() -> None:
    """Send the last spans, within a second."""
    if sdk := sys.modules.get("turnstile.turns.tracing.sdk"):
        sdk.end()


def is_wanted(settings: Settings) -> bool:
    """Return True where the environment asks for traces."""
    if settings.otel_sdk_disabled.lower() == "true" or settings.otel_traces_exporter == "none":
        return False
    address = settings.otel_exporter_otlp_traces_endpoint or settings.otel_exporter_otlp_endpoint
    return bool(settings.otel_traces_exporter or address)


def _check(settings: Settings) -> None:
    exporter = settings.otel_traces_exporter
    if exporter not in ("", "otlp"):
        raise SettingError(f"OTEL_TRACES_EXPORTER is {exporter}: only otlp and none are there.")
    protocol = settings.otel_exporter_otlp_traces_protocol or settings.otel_exporter_otlp_protocol
    if protocol not in ("", _PROTOCOL):
        raise SettingError(
            f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol}: only {_PROTOCOL} is there, at port 4318 of most collectors."
        )
