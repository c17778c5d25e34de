"""A collector of OpenTelemetry's traces, for tests: it keeps the spans that processes send by OTLP over HTTP."""

import gzip
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.receiver import Receiver


@dataclass(frozen=True, slots=True)
class Span:
    """A span that came in."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    attributes: Mapping[str, Any]
    begun: int
    ended: int
    failed: bool
    links: tuple[str, ...] = ()


class Collector(Receiver):
    """Keeps the spans that come in, and the bytes of their requests."""

    def __init__(self) -> None:
        super().__init__()
        self.spans: list[Span] = []
        self.bodies: list[bytes] = []

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead a process's spans here, soon."""
        address = f"http://127.0.0.1:{self.port}"
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_BSP_SCHEDULE_DELAY": "100"}

    def named(self, beginning: str) -> list[Span]:
        """Return the spans whose names begin so, the earliest first."""
        return sorted((span for span in self.spans if span.name.startswith(beginning)), key=lambda span: span.begun)

    def take(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        """Keep the spans of a request."""
        body = gzip.decompress(body) if request.headers.get("content-encoding") == "gzip" else body
        self.bodies.append(body)
        self.spans += _read(body)
        request.send_response(200)
        request.send_header("content-type", "application/x-protobuf")
        request.send_header("content-length", "0")
        request.end_headers()


def _read(body: bytes) -> Iterator[Span]:
    told: Any = ExportTraceServiceRequest.FromString(body)
    for resource in told.resource_spans:
        service = _values(resource.resource.attributes)["service.name"]
        for span in (span for scope in resource.scope_spans for span in scope.spans):
            yield Span(
                service,
                span.name,
                span.trace_id.hex(),
                span.span_id.hex(),
                span.parent_span_id.hex(),
                _values(span.attributes),
                span.start_time_unix_nano,
                span.end_time_unix_nano,
                span.status.code == 2,
                tuple(link.trace_id.hex() for link in span.links),
            )


def _values(attributes: Any) -> dict[str, Any]:
    return {one.key: _value(one.value) for one in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return [_value(one) for one in value.array_value.values] if kind == "array_value" else getattr(value, kind)
