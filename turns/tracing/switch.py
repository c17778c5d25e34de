"""The start and the end of tracing in a worker or a gateway, by OpenTelemetry's own variables."""

import sys

from turnstile.turns.errors import SettingError
from turnstile.turns.extras import need
from turnstile.turns.settings import Settings

_PROTOCOL = "http/protobuf"
_API = "opentelemetry.trace"
_STANDING_IN = "ProxyTracerProvider"


def start(settings: Settings, service: str) -> bool:
    """Begin to trace where the environment asks for it, or has begun already; return whether this process traces.

    Raises:
        SettingError: the environment asks for something else than OTLP over HTTP.
        MissingExtra: OpenTelemetry is not installed; programs of ours end with a line that names the extra.
    """
    if settings.otel_sdk_disabled.lower() == "true":
        return False
    api = sys.modules.get(_API)
    if api and type(api.get_tracer_provider()).__name__ != _STANDING_IN:
        return True
    if not _wanted(settings):
        return False
    need("tracing")
    # Nobody else pays for this import.
    from turnstile.turns.tracing.sdk import export_spans

    export_spans(service)
    return True


def stop() -> None:
    """Send the last spans, within a second."""
    if sdk := sys.modules.get("turnstile.turns.tracing.sdk"):
        sdk.end()


def _wanted(settings: Settings) -> bool:
    exporter = settings.otel_traces_exporter
    if exporter not in ("", "otlp", "none"):
        raise SettingError(f"OTEL_TRACES_EXPORTER is {exporter}: only otlp and none are there.")
    address = settings.otel_exporter_otlp_traces_endpoint or settings.otel_exporter_otlp_endpoint
    if exporter == "none" or not (exporter or address):
        return False
    protocol = settings.otel_exporter_otlp_traces_protocol or settings.otel_exporter_otlp_protocol
    if protocol not in ("", _PROTOCOL):
        raise SettingError(
            f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol}: only {_PROTOCOL} is there, at port 4318 of most collectors."
        )
    return True
