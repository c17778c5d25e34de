"""Bounds on the head of a request, for servers that have not had them while they read it."""

from turnstile.producers.gateway.edge.api_errors import ApiError
from turnstile.producers.gateway.edge.body import Scope
from turnstile.producers.gateway.edge.bounded_reading import MOST_HEADERS, MOST_TARGET_BYTES


def check_head(scope: Scope) -> None:
    """Raise ApiError, 414 or 431, for a head that no client sends."""
    if len(scope.get("raw_path") or b"") + len(scope.get("query_string", b"")) > MOST_TARGET_BYTES:
        raise ApiError(414, f"The path and its query have more than {MOST_TARGET_BYTES:,} bytes.", None, "uri_too_long")
    if len(scope["headers"]) > MOST_HEADERS:
        raise ApiError(431, f"The request has more than {MOST_HEADERS} headers.", None, "too_many_headers")
